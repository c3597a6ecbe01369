package lab

import (
	"context"
	"fmt"
	"testing"

	"github.com/repool/repool/pcp"
)

func TestTwoPgpoolsWatchEachOther(t *testing.T) {
	t.Parallel()
	l := up(t, Options{Standbys: 1, Watchdog: 2})
	ctx := limited(t)
	must(t, WaitFor(ctx, "the first Pgpool-II to lead with a quorum", func(ctx context.Context) error {
		return pcp.With(ctx, l.PCP(0), func(c *pcp.Conn) error {
			w, err := c.Watchdog(ctx)
			if err == nil && (w.Nodes[0].State != pcp.WatchdogLeader || w.Quorum < 0 || w.AliveNodes != 1) {
				err = fmt.Errorf("state %d, quorum %d, %d others alive", w.Nodes[0].State, w.Quorum, w.AliveNodes)
			}
			return err
		})
	}))
	must(t, l.Detach(ctx, 1))
	must(t, WaitFor(ctx, "the second Pgpool-II to hear of a detach", func(ctx context.Context) error {
		nodes, err := l.PoolNodes(ctx, 1)
		if err == nil && nodes[1].Attached() {
			err = fmt.Errorf("node 1 is still %s", nodes[1].Status)
		}
		return err
	}))
}
