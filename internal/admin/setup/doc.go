// Package setup makes what `repool check` misses: the database role and its
// grants, passwords in .pgpass and .pcppass, rules in pg_hba.conf, users of PCP
// and of Pgpool-II's checks, lines of pgpool.conf, shims, repool.yaml and the
// systemd unit.
//
// Make looks (by package check, and as a database administrator where that is
// possible) and returns a Plan; nothing is changed. A Plan is a list of Items in
// the order in which they must be done, with the lines and statements of each;
// Apply does them. What setup does not decide, or cannot reach, is an Item too,
// marked Manual, with the remedy.
//
// The rules: every file that is edited is first copied to
// <file>.repool-<timestamp>, and keeps its owner and mode; making the plan again
// after Apply gives nothing to do; no password is ever in an Item's text, in a
// log or on a command line.
package setup
