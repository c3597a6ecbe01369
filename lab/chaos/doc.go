// Package chaos breaks a real pool at random, again and again, and accounts for
// every acknowledged row at each quiet moment in between: present, or listed by
// a vault, or unexplained, which must not happen; under synchronous
// replication, present.
//
// Run builds the pool, starts writers through Pgpool-II and a reader on every
// node, and goes through rounds: a few faults from the table in faults.go, then
// quiet, until repool has healed everything; then the copies are compared and
// the rows counted (package proof). All the while a guard looks for attached
// second primaries, and at the end the readers say whether a row of a lost
// timeline was to be read on a node after repool had attached it.
//
// The seed decides which faults come, on which nodes, and when; the pool's own
// timing does not follow it, so a run with the same seed is alike, not equal.
package chaos
