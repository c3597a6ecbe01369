// Package pcp speaks PCP, the control protocol of Pgpool-II: it asks a pool for
// the state of its nodes and tells it to attach, detach, promote or recover them.
//
// Config says where a pool listens and as whom to log in, With runs commands on
// one short connection, Conn has one method for each command, and ServerError is
// what Pgpool-II answered instead of doing as asked.
//
// The one rule: a connection is for one use. Open it, ask, close it; With does
// that. Pgpool-II 4.3 and 4.4 do not finish a failover while a PCP connection is
// open, so a connection kept for later stops the pool from handling the next
// failure.
//
// An answer without an error means "queued" for attach, detach and promote. Look
// at the node afterwards to learn what became of it.
//
// The protocol is that of src/pcp_con/pcp_worker.c in Pgpool-II 4.3 to 4.7; it has
// no encryption, so keep it on the local host or on a network you trust.
package pcp
