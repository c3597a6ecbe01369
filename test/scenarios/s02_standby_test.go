package scenarios

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// S2: a standby stopped cleanly, killed, and frozen and thawed comes back by
// the cheapest method, with nothing copied.
func TestS02StandbyStoppedKilledFrozen(t *testing.T) {
	for _, layout := range []lab.Layout{lab.LayoutPlain, lab.LayoutDebian} {
		t.Run(string(layout), func(t *testing.T) {
			p := up(t, lab.Options{Layout: layout})
			w := p.StartWriter(lab.WriterOptions{})
			n := p.standbys()[1]

			since := time.Now()
			p.must(p.StopNode(p.ctx, n, lab.Fast))
			p.must(p.WaitDetached(p.ctx, n))
			p.whole("stopped cleanly", since)
			p.healedBy(n, since, topology.MethodStart)

			since = time.Now()
			p.must(p.KillNode(p.ctx, n))
			p.must(p.WaitDetached(p.ctx, n))
			p.whole("killed", since)
			p.healedBy(n, since, topology.MethodStart)

			since = time.Now()
			p.must(p.Freeze(p.ctx, n))
			p.must(p.WaitDetached(p.ctx, n))
			p.must(p.Thaw(p.ctx, n))
			p.whole("frozen and thawed", since)
			for _, r := range p.runs(n, since) {
				if r.Method.Destructive() {
					t.Errorf("a thawed standby was resynced by %s", r.Method)
				}
			}
			w.Stop()
			p.equal()
		})
	}
}
