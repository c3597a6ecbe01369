// Package fakehost is database hosts in memory: their data directories with real lines of WAL, their servers, which
// stream from one another as PostgreSQL does, and the host operations of an agent, which work on them.
//
// A Pool is the hosts. A Host is what one agent process can do to its node; it implements resync.Host and the rest of
// agent.Node. An Upstream is its connections to the primary. The time that an operation takes, and what becomes of
// the process meanwhile, is a Process: the simulation has one with virtual time and faults. Solo is a pool of one node
// and its primary in which everything happens at once and each operation can be made to fail, for tests of the engine
// and of the agent.
//
// The pool watches the promises while it works. A half-done directory at home or under a server, a copy at home
// without standby.signal, commits destroyed before they were saved and the last proven copy removed are reported at
// the moment they happen.
package fakehost
