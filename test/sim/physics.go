package sim

import (
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/test/fakes/fakehost"
)

// tick is how often servers, streams and clients move on.
const tick = 100 * time.Millisecond

// physics is the world's own course, until the world ends.
func (w *World) physics() {
	a := w.actor("physics")
	rng := dice{hashOf(w.seed, 77)}
	for n := 0; w.life.Err() == nil; n++ {
		a.wait(tick, tick)
		w.mu.Lock()
		w.now(a)
		for _, n := range w.nodes {
			w.settleServer(n)
		}
		for _, m := range w.nodes {
			w.Stream(m.Node, n)
			w.Replay(m.Node, n)
		}
		w.acknowledge()
		w.clients(&rng)
		w.prove()
		w.staysAttached()
		w.mu.Unlock()
	}
}

// settleServer lets a promotion that was asked for happen, and a late
// checkpoint.
func (w *World) settleServer(n *node) {
	s := n.Server
	if s == nil || s.Frozen || !n.Up {
		return
	}
	if !s.PromoteAt.IsZero() && !time.Now().Before(s.PromoteAt) && !s.Primary {
		w.Promote(n.Node)
	}
	if s.Primary && s.Dir.ControlTLI != s.Dir.Tip.TLI && w.begun.Add(w.lazyCheckpoint).Before(time.Now()) {
		w.CheckpointNow(n.Node)
		w.lazyCheckpoint = time.Since(w.begun) + 20*time.Second
	}
}

// clients write to whatever Pgpool-II routes writes to, and a few straight to
// every other node that lets them.
func (w *World) clients(rng *dice) {
	routed := topology.NoNode
	if p := w.pgpool; p.up && p.primary >= 0 && p.nodes[p.primary].attached() {
		routed = p.primary
	}
	for _, n := range w.nodes {
		share := 3
		if n.ID == routed && !w.cut(w.pgpool.place(), n.place()) {
			share = 35
		}
		size := uint64(rng.below(4000) + 64)
		hit := rng.chance(share)
		if !hit || !n.Writes() || w.calm && n.ID != routed {
			continue
		}
		if w.burst && n.ID == routed {
			size += 96 << 10
		}
		n.Server.Dir.Tip = w.Write(n.Server.Dir.Tip, fakehost.Commit, size)
		n.Server.Dir.Data = n.Server.Dir.Tip
	}
}
