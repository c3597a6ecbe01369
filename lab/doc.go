// Package lab makes a real pool on this machine, under one directory:
// PostgreSQL nodes, Pgpool-II and, on demand, repool's controller and agents.
// Tests, demo, benchmarks and people use the same one.
//
// Up builds a Lab and returns once every node is attached and streaming; Open
// finds a running one again from its directory, so that another process can
// look, break things and take it Down. Everything else is a method of Lab: the
// external process (StartNode, StopNode, PromoteByHand), the faults (KillNode,
// Freeze, Diverge, DestroyData, RecycleWAL, FillDisk, PowerCut), what to wait
// for (WaitFor and its kin), and a client that remembers each acknowledged row
// (Writer, CompareCopies).
//
// Started as root, every program runs as the user postgres; otherwise as
// oneself. Nothing outside the lab's directory is touched: the Debian layout,
// too, lives under it, since postgresql-common honours PG_CLUSTER_CONF_ROOT.
// The one rule for callers: call Down, also after an error of one's own.
package lab
