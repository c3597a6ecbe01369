package sim

import (
	"time"

	"github.com/repool/repool/internal/core/plan"
)

// contestSettled watches two primaries of which docs/decisions/0019 says that the evidence
// settles it: no person is needed then, and the false one is stopped in time.
func (w *World) contestSettled(mem plan.Memory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.evidenceSettles(mem) {
		w.settledSince = time.Time{}
		return
	}
	if w.settledSince.IsZero() {
		w.settledSince = time.Now()
	}
	if since := time.Since(w.settledSince); since > patience {
		w.violate("P9", "for %s Pgpool-II, streaming and majority have agreed on node %s, and another primary still "+
			"runs", since.Round(time.Second), w.pgpool.primary)
	}
}

// evidenceSettles says so by the world's own knowledge. w.mu is held.
func (w *World) evidenceSettles(mem plan.Memory) bool {
	p := w.pgpool
	if !p.up || p.primary < 0 || mem.Primary != p.primary || !p.nodes[p.primary].attached() ||
		!w.nodes[p.primary].Writes() || !mem.History.Equal(w.nodes[p.primary].Server.Dir.History()) {
		return false
	}
	q, with, others := w.nodes[p.primary], 1, 0
	for _, n := range w.nodes {
		switch {
		case n == q:
		case n.Writes():
			if p.nodes[n.ID].attached() || n.Server.ByUs || w.agreed[n.ID] {
				return false
			}
			others++
		case w.proven(n, q) && n.Home().Spelled == "":
			with++
		case n.Server != nil && n.Server.Streaming && n.Server.From != q.ID:
			return false
		}
	}
	return others > 0 && with > 1 && 2*with > len(w.nodes) && !w.agreed[q.ID]
}
