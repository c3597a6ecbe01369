package scenarios

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/pcp"
)

// noFailoverCommand leaves promotions to a person.
var noFailoverCommand = map[string]string{"failover_command": ""}

// S18: with no failover_command that works, the primary dies, Pgpool-II gives
// up its search, and somebody promotes a standby by hand. Pgpool-II does not
// notice by itself: repool brings it to look, and then the
// rest back.
func TestS18PromotedByHand(t *testing.T) {
	p := up(t, lab.Options{Pgpool: noFailoverCommand})
	w := p.StartWriter(lab.WriterOptions{})
	p.must(w.WaitAcked(p.ctx, 10))
	old, chosen := p.primary(), p.standbys()[1]
	since := time.Now()
	p.must(p.KillNode(p.ctx, old))
	p.poolWithoutPrimary()
	p.code(old, plan.CodeFailoverRunning, plan.CodeNoPrimary)
	p.noRuns(old, since)
	p.must(p.PromoteByHand(p.ctx, chosen))
	p.whole("promoted by hand", since)
	if got := p.primary(); got != chosen {
		t.Errorf("node %d is the primary, and node %d was promoted", got, chosen)
	}
	p.must(w.WaitAcked(p.ctx, 10))
	w.Stop()
	p.equal()
}

// poolWithoutPrimary waits until Pgpool-II has given up its search for one.
func (p *pool) poolWithoutPrimary() {
	p.t.Helper()
	p.wait("Pgpool-II to hold no node for the primary", func(ctx context.Context) error {
		nodes, err := p.PoolNodes(ctx, 0)
		for _, n := range nodes {
			if n.Role == pcp.RolePrimary {
				err = errors.New("it holds one")
			}
		}
		return err
	})
}
