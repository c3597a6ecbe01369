package scenarios

import (
	"context"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S2: a standby stopped cleanly, killed, and frozen and thawed comes back by
// the cheapest method, with nothing copied.
func TestS02StandbyStoppedKilledFrozen(t *testing.T) {
	for _, layout := range []lab.Layout{lab.LayoutPlain, lab.LayoutDebian} {
		t.Run(string(layout), func(t *testing.T) {
			p := up(t, lab.Options{Layout: layout})
			w := p.StartWriter(lab.WriterOptions{})
			n := p.Standbys()[1]

			since := time.Now()
			p.Must(p.StopNode(p.Ctx, n, lab.Fast))
			p.detached(n)
			p.Whole("stopped cleanly", since)
			p.HealedBy(n, since, topology.MethodStart)

			since = time.Now()
			p.Must(p.KillNode(p.Ctx, n))
			p.detached(n)
			p.Whole("killed", since)
			p.HealedBy(n, since, topology.MethodStart)

			since = time.Now()
			p.Must(p.Freeze(p.Ctx, n))
			p.detached(n)
			p.Must(p.Thaw(p.Ctx, n))
			p.Whole("frozen and thawed", since)
			for _, r := range p.Runs(n, since) {
				if r.Method.Destructive() {
					t.Errorf("a thawed standby was resynced by %s", r.Method)
				}
			}
			w.Stop()
			p.Equal()
		})
	}
}

// S2: a standby frozen while Pgpool-II searches for the primary. Its main
// process then hangs on the login to that node without any timeout, and would
// carry out no failover for as long as the node stays frozen: the node is
// killed, and started again. The search is provoked by an attach.
func TestS02FrozenWhilePgpoolSearches(t *testing.T) {
	p := up(t, lab.Options{RepoolConfig: "policy: {follow_grace: 2s}\n"})
	n, other := p.Standbys()[0], p.Standbys()[1]
	p.Hold(other)
	p.Must(p.Detach(p.Ctx, other))
	p.detached(other)
	since := time.Now()
	p.Must(p.Freeze(p.Ctx, n))
	p.Must(p.Attach(p.Ctx, other))
	p.Wait("the frozen node to be killed", func(ctx context.Context) error {
		return p.happened(ctx, n, since, "fence", codes.Frozen)
	})
	p.Release(other)
	p.Whole("a frozen standby that held Pgpool-II up", since)
	p.HealedBy(n, since, topology.MethodStart)
	p.Equal()
}
