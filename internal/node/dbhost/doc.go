// Package dbhost contains the host operations of the agent: on the data
// directory, the server and the programs (pg_ctl, pg_rewind, pg_basebackup, …) of
// one node on this machine. Host implements resync.Host, and what an agent
// answers about its node (Inspect, ProbeWAL, RecordEnding, VaultEntries,
// VaultReport).
//
// It works on four places only: Home, the data directory itself, and InRepair,
// New and Old in the node's work directory on the same file system. No path ever
// comes from a request. Both layouts are known in layout.go: all files in the
// data directory with pg_ctl, and Debian's with pg_ctlcluster.
//
// The rule for callers: one run at a time. Inspections may go on beside a run;
// two changing calls at once may not. Failures are *Error values with a code
// and a hint for a person. Programs run with LC_ALL=C in a process group of
// their own, and what they print is read for digits only.
package dbhost
