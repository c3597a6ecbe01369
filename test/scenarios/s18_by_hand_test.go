package scenarios

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/lab"
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
	p.Must(w.WaitAcked(p.Ctx, 10))
	old, chosen := p.Primary(), p.Standbys()[1]
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	p.poolWithoutPrimary()
	p.Code(old, codes.FailoverRunning, codes.NoPrimary)
	p.NoRuns(old, since)
	p.Must(p.PromoteByHand(p.Ctx, chosen))
	p.Whole("promoted by hand", since)
	if got := p.Primary(); got != chosen {
		t.Errorf("node %d is the primary, and node %d was promoted", got, chosen)
	}
	p.Must(w.WaitAcked(p.Ctx, 10))
	w.Stop()
	p.Equal()
}

// poolWithoutPrimary waits until Pgpool-II has given up its search for one.
func (p *pool) poolWithoutPrimary() {
	p.T.Helper()
	p.Wait("Pgpool-II to consider no node the primary", func(ctx context.Context) error {
		nodes, err := p.PoolNodes(ctx, 0)
		for _, n := range nodes {
			if n.Role == pcp.RolePrimary {
				err = errors.New("it holds one")
			}
		}
		return err
	})
}
