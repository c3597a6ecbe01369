// Package setup creates what `repool check` misses: the database role and its
// grants, passwords in .pgpass and .pcppass, rules in pg_hba.conf, users of PCP and
// of Pgpool-II's checks, lines of pgpool.conf, shims, repool.yaml and the systemd
// unit.
//
// Make looks (with package check, and as a database administrator where possible)
// and returns a Plan; it changes nothing. A Plan is a list of Items in the order in
// which they must be done, each with its lines and statements; Apply does them. What
// setup cannot decide or reach is an Item marked Manual, with the remedy.
//
// Undo is the way back. Apply keeps a record of what it does, beside repool.yaml and
// before it does it; Undo makes a Plan of that record and of what bears repool's
// names on the nodes.
//
// The rules: every edited file is first copied to <file>.repool-<timestamp>, and
// keeps its owner and mode; after Apply, a new plan has nothing to do; no password
// is ever in an Item's text, in a log or on a command line.
package setup
