// Package sim is the whole of repool in a world of its own: the real planner,
// controller, observer, agent, engine and failover hook, and around them
// simulated PostgreSQL servers, data directories, disks, a network, Pgpool-II
// with its true habits, service managers and people who do the wrong thing.
//
// World is one such world; a seed makes all of it: the pool, its faults and
// every delay. Run plays it in virtual time, inside a testing/synctest bubble,
// looks at the promises (P1 to P6) after each event, and at P9 when the faults
// have ended. Shrink takes a world that broke a promise and leaves out faults
// while it still does.
//
// The rule that makes a seed replay: every act on the world goes through an
// actor, which waits first; each actor wakes at instants that no other can have.
// So one thing happens at a time, in an order that does not depend on Go's
// scheduler. The world's lock is never held while anybody waits.
//
// The package is for tests alone; nothing of repool imports it.
package sim
