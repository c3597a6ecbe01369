package scenarios

import (
	"context"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/plan"
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
			p.detached(n)
			p.whole("stopped cleanly", since)
			p.healedBy(n, since, topology.MethodStart)

			since = time.Now()
			p.must(p.KillNode(p.ctx, n))
			p.detached(n)
			p.whole("killed", since)
			p.healedBy(n, since, topology.MethodStart)

			since = time.Now()
			p.must(p.Freeze(p.ctx, n))
			p.detached(n)
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

// S2: a standby frozen while Pgpool-II searches for the primary. Its main
// process then hangs on the login to that node without any timeout, and would
// carry out no failover for as long as the node stays frozen: the node is
// killed, and started again. The search is provoked by an attach.
func TestS02FrozenWhilePgpoolSearches(t *testing.T) {
	p := up(t, lab.Options{RepoolConfig: "policy: {follow_grace: 2s}\n"})
	n, other := p.standbys()[0], p.standbys()[1]
	p.hold(other)
	p.must(p.Detach(p.ctx, other))
	p.detached(other)
	since := time.Now()
	p.must(p.Freeze(p.ctx, n))
	p.must(p.Attach(p.ctx, other))
	p.wait("the frozen node to be killed", func(ctx context.Context) error {
		return p.happened(ctx, n, since, "fence", plan.CodeFrozen)
	})
	p.release(other)
	p.whole("a frozen standby that held Pgpool-II up", since)
	p.healedBy(n, since, topology.MethodStart)
	p.equal()
}
