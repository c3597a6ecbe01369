// Package pgdata reads a PostgreSQL data directory from its files, without a
// running server and without parsing what any program prints: the control file
// (ReadControl), timeline histories (ReadHistory, OwnHistory), the lock file of
// the server (ReadPostmasterPID, PostmasterAlive) and, above all, the
// write-ahead log (OpenWAL), so that "did this node write anything after the
// switch point, and what?" is answered by the bytes themselves.
//
// It changes a file in two named ways only: SetConf with ReplaceFile for
// postgresql.auto.conf and the like. Everything else is read-only.
//
// The rule for callers: an error means "unknown", never "fine". A reader of
// WAL reads what is on disk at that moment; on a directory with a running
// server the end it finds is a lower bound.
//
// Layouts follow the headers of PostgreSQL 13–18: catalog/pg_control.h,
// access/xlog_internal.h, access/xlogrecord.h, access/xact.h and
// access/heapam_xlog.h, on 64-bit machines, in the machine's byte order.
package pgdata
