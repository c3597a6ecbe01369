package sim

import (
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/test/fakes/fakehost"
)

// node is a database host with its agents.
type node struct {
	*fakehost.Node
	w      *World
	disk   disk
	agents []*agentProcess
	// proof is when the node last was what P1 wants, and on whom.
	proof proof
	// confirmed is when one of its agents last confirmed an upstream, clearedRun the
	// run that was last cleared (P2).
	confirmed   time.Time
	confirmedOf topology.NodeID
	clearedRun  string
	clearedAt   time.Time
	autostart   bool // its service manager starts the server with the host
	// wrote is when it last accepted writes, led when it did as Pgpool-II's
	// primary, troubled when the ways to it were last changed.
	wrote, led, troubled time.Time
	// wellSince is since when it has been a proven standby of the only primary.
	wellSince time.Time
	// agentsHeld: so many faults keep its agents down. nextDiesAt is for the next.
	agentsHeld int
	nextDiesAt string
	alone      time.Time // since when it has had no agent
}

type proof struct {
	at      time.Time
	primary topology.NodeID
}

// dieUnder is the primary dying at the moment at which a standby is to be attached
// that has its last commit and is the only one. Pgpool-II knew of the death first.
func (w *World) dieUnder(n *node) {
	if !w.dieUnderAttach || w.pgpool.primary < 0 {
		return
	}
	u := w.nodes[w.pgpool.primary]
	if u == n || !u.Writes() || !n.Accepting() || !n.Server.Streaming || n.Server.From != u.ID ||
		n.Server.Dir.Data != u.Server.Dir.Tip {
		return
	}
	w.dieUnderAttach = false
	last := w.Write(u.Server.Dir.Tip, fakehost.Commit, 500)
	for _, d := range []*fakehost.Dir{u.Server.Dir, n.Server.Dir} {
		d.Tip, d.Data = last, last
	}
	w.note("node %d dies as node %d is to be attached, which alone has its last commit", u.ID, n.ID)
	w.Kill(u.Node)
	w.pgpool.enqueue(request{node: u.ID})
}

// powerCut takes the host away with all that was not on disk.
func (w *World) powerCut(n *node) {
	w.Kill(n.Node)
	n.Up, n.Stray = false, ""
	for _, a := range n.agents {
		a.die()
	}
	if w.SyncNames != "" {
		return // a synchronous standby says of nothing that it is flushed before it is
	}
	if d := n.Home(); d != nil && d.Content == fakehost.Whole && d.Recovering && d.Tip != d.Data && d.Tip.Parent != nil {
		d.Tip = d.Tip.Parent // received, and not flushed
		if !fakehost.Holds(d.Tip, d.Data) {
			d.Data = d.Tip
		}
	}
}
