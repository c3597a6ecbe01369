package scenarios

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
)

// S7: the new primary dies while the others are still being resynced from it:
// the newest primary is followed, and the pool is never left without one
// (pgpool-facts 3.5, hazards 8 and 26).
func TestS07NewPrimaryDiesDuringResync(t *testing.T) {
	p := up(t, lab.Options{Standbys: 3})
	w := p.StartWriter(lab.WriterOptions{})
	p.must(w.WaitAcked(p.ctx, 20))
	first := p.primary()
	_, err := p.Diverge(p.ctx, first, 10)
	p.must(err)
	p.must(p.KillNode(p.ctx, first))
	second, err := p.WaitNewPrimary(p.ctx, first)
	p.must(err)
	since := time.Now()
	p.must(p.KillNode(p.ctx, second))
	third, err := p.WaitNewPrimary(p.ctx, second)
	p.must(err)
	if third == first {
		t.Errorf("node %d, which had lost commits of its own, became primary", first)
	}
	p.must(w.WaitAcked(p.ctx, 20))
	p.whole("two failovers in a row", since)
	w.Stop()
	p.equal()
}

// S8: five nodes; the primary and two standbys fail at once and are resynced
// side by side.
func TestS08FiveNodesThreeResyncs(t *testing.T) {
	p := up(t, lab.Options{Standbys: 4})
	w := p.StartWriter(lab.WriterOptions{})
	old := p.primary()
	sb := p.standbys()
	since := time.Now()
	p.must(p.KillNode(p.ctx, sb[2]))
	p.must(p.DestroyData(p.ctx, sb[3]))
	p.must(p.KillNode(p.ctx, old))
	p.whole("three at once", since)
	w.Stop()
	p.equal()
	if !p.overlapped(since, old, sb[2], sb[3]) {
		t.Log("the three runs were too short to overlap on this machine")
	}
}

// overlapped says whether any two of the nodes were resynced at the same time.
func (p *pool) overlapped(since time.Time, nodes ...int) bool {
	type span struct{ a, b time.Time }
	var spans []span
	for _, n := range nodes {
		for _, r := range p.runs(n, since) {
			spans = append(spans, span{r.Started, r.Ended})
		}
	}
	for i, x := range spans {
		for _, y := range spans[i+1:] {
			if x.a.Before(y.b) && y.a.Before(x.b) {
				return true
			}
		}
	}
	return false
}
