package sim

import (
	"slices"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/test/fakes/fakehost"
)

// acknowledged is the last commit that a primary under synchronous replication has told
// its clients of, and the standbys that it could wait for then. No hook may lose it.
type acknowledged struct {
	last    *fakehost.Record // nil: none yet
	by      topology.NodeID
	members []topology.NodeID
}

// synchronous makes some worlds synchronous, with what must not lose a commit then: the
// standby that has it answers late, and another one at once. It draws from dice of its
// own, so that all else in a world stays as the seed has it.
func (w *World) synchronous(own bool) {
	d := dice{hashOf(w.seed, 91)}
	if !d.chance(25) || len(w.nodes) < 3 {
		return
	}
	w.SyncNames = pick(&d, "ANY 1 (*)", "ANY 1 (*)", "FIRST 1 (*)", "*", "ANY 2 (*)")
	for _, b := range w.controllerHosts {
		b.conf.Failover = config.FailoverRules{Wait: 10 * time.Second}
	}
	if own || !d.chance(60) {
		return
	}
	// Node 0 is the primary, since every other fault comes later.
	a, b := topology.NodeID(1), topology.NodeID(2)
	if d.chance(50) {
		a, b = b, a
	}
	t := d.between(4*time.Second, 8*time.Second)
	late := d.between(3*time.Second, 9*time.Second)
	w.faults = slices.DeleteFunc(w.faults, func(f Fault) bool { return f.At < t+5*time.Second })
	w.faults = append(w.faults,
		Fault{At: t, Kind: "cut replication", Node: a, With: 0, For: 6 * time.Second, Arg: "none"},
		Fault{At: t + 2500*time.Millisecond, Kind: pick(&d, "freeze", "isolate"), Node: b, With: b, For: late,
			Arg: "none"},
		Fault{At: t + 2600*time.Millisecond, Kind: "kill server", Node: 0, With: 0})
	if d.chance(50) { // and no controller has seen that the standby a has left
		for i := range w.controllerHosts {
			w.faults = append(w.faults, Fault{At: t - 500*time.Millisecond, Kind: "kill controller",
				With: topology.NodeID(i), For: 12 * time.Second})
		}
	}
	slices.SortStableFunc(w.faults, func(x, y Fault) int { return int(x.At - y.At) })
}

// acknowledge moves the last acknowledged commit on. w.mu is held.
func (w *World) acknowledge() {
	top := w.newest()
	if w.SyncNames == "" || top == nil {
		return
	}
	if w.acked.by != top.ID || w.acked.last != nil && !fakehost.Holds(top.Server.Dir.Tip, w.acked.last) {
		w.acked = acknowledged{by: top.ID} // what is lost by now was looked at as it was lost
	}
	tips := map[topology.NodeID]*fakehost.Record{}
	members := w.SyncMembers(top.Node)
	var ends []topology.LSN
	for _, id := range members {
		if x := w.nodes[id].Server.Dir.Tip; fakehost.Holds(top.Server.Dir.Tip, x) {
			tips[id] = x
			ends = append(ends, x.End)
		}
	}
	need := topology.SyncNeed(w.SyncNames)
	if len(ends) < need {
		return
	}
	slices.Sort(ends)
	to := ends[len(ends)-need]
	for _, id := range members {
		if x := tips[id]; x != nil && x.End == to && (w.acked.last == nil || x.End > w.acked.last.End) {
			w.acked.last, w.acked.members = x, members
		}
	}
}

// keepsAcknowledged is a hook promoting a node, by the record of one controller's host:
// the node must have every commit that was acknowledged, as far as the record has the
// set that was synchronous then. w.mu is held.
func (w *World) keepsAcknowledged(b *controllerHost, n *node) {
	r := w.acked.last
	if r == nil || fakehost.Holds(n.Server.Dir.Tip, r) {
		return
	}
	last, ok := hook.LastPrimary(b.conf.Controller.StateDir)
	if !ok || last.Node != w.acked.by || !last.Synchronous.Promised() {
		return // no controller has seen it since it is the primary
	}
	for _, id := range w.acked.members {
		if !last.Synchronous.Has(id) {
			return // nor since it joined
		}
	}
	for _, m := range last.Synchronous.Members {
		if m.Node == topology.NoNode || w.nodes[m.Node].Server == nil {
			continue
		}
		if tip := w.nodes[m.Node].Server.Dir.Tip; !fakehost.Holds(tip, r) && !fakehost.Holds(r, tip) {
			return // two lines under one number, which a hook cannot tell apart
		}
	}
	w.violate("acknowledged", "a hook promotes node %d at %s, and the commit at %s was acknowledged by node %d "+
		"under %s", n.ID, n.Server.Dir.Tip.End, r.End, w.acked.by, w.SyncNames)
}
