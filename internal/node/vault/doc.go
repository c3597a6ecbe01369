// Package vault keeps the WAL that only one node holds before a resync
// overwrites it, and reports which committed transactions are in it (P3).
//
// Keep copies the segments from the last common checkpoint on (where
// that is far back, only a little: that part the primary has too) into one folder
// of the vault, with the history files, the control file, a manifest (sizes,
// checksums, identifiers, positions) and a report of every commit past the
// divergence point. The folder gets its name only when all of it is on disk,
// so a half made entry is never taken for a whole one. An entry is named after
// node, timeline, divergence point and end: keeping the same line twice finds
// the first one.
//
// The rule for callers: Entry.Complete is false when anything cannot be told
// (Entry.Missing says what and why). Then the data directory itself is the
// only full record of what was lost, and must be kept.
package vault
