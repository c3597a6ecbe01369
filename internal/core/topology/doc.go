// Package topology is the vocabulary of repool: what a node, an LSN, a timeline
// and its history are, and one observed state of a pool, the Snapshot.
//
// Everything here is a plain value: no clock, no I/O, no goroutine. It imports
// nothing of ours, so that every other package can use the same words. The two
// types to know are History, which answers "where did these two lines of WAL
// part?", and Snapshot, which is all that the planner ever sees.
//
// Formats follow PostgreSQL: LSN text as in src/include/access/xlogdefs.h,
// history files as in src/backend/access/transam/timeline.c (versions 13–18).
package topology
