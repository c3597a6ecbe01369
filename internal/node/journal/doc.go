// Package journal is the durable memory of one node's resyncs: one JSON file a
// run in the node's work directory, and the list of child processes that a dead
// agent may have left behind.
//
// A Record says what is about to be done before it is done (P4): Put returns
// only when the file and its directory are on disk (write, fsync, rename,
// fsync of the directory), so a reader after a power cut knows at
// least as much as was true then. The rule a caller must keep: no effect on
// the node before the Put of its intent has returned nil.
//
// Reading is tolerant: a garbled file is reported with its name and hides no
// other; what it said is unknown, never fine.
package journal
