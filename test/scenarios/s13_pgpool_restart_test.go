package scenarios

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// S13: Pgpool-II is killed and started again while a node is resynced, once
// with its status file and once without, when it takes every node for good
// (seen on Pgpool-II 4.3.5). The resync goes on, and ends as it would have.
func TestS13PgpoolRestartedDuringResync(t *testing.T) {
	p := up(t, lab.Options{RepoolConfig: "policy: {max_rate: 6MB}\n"})
	n := p.standbys()[1]
	for _, forget := range []bool{false, true} {
		since := time.Now()
		p.must(p.KillNode(p.ctx, n))
		p.must(p.DestroyData(p.ctx, n))
		p.during(n, "copy")
		p.must(p.KillPgpool(p.ctx, 0, forget))
		p.must(p.StartPgpool(p.ctx, 0))
		p.whole(fmt.Sprintf("Pgpool-II restarted, status file forgotten: %v", forget), since)
		p.healedBy(n, since, topology.MethodBaseBackup)
		if runs := p.runs(n, since); len(runs) != 1 {
			t.Errorf("want one run, which a restart of Pgpool-II does not disturb, got %d: %+v", len(runs), runs)
		}
	}
	p.equal()
}

// S13, the danger of a forgotten status file: an old primary runs again when
// Pgpool-II starts, has the higher number, and so is taken for the primary.
// Pgpool-II is set right, and the old primary fenced and resynced.
func TestS13StaleOldPrimaryTakenForThePrimary(t *testing.T) {
	p := up(t, lab.Options{})
	first := p.primary()
	since := time.Now()
	p.must(p.KillNode(p.ctx, first))
	old, err := p.WaitNewPrimary(p.ctx, first)
	p.must(err)
	p.whole("the first failover", since)

	lost, err := p.Diverge(p.ctx, old, 10)
	p.must(err)
	since = time.Now()
	p.hold(old)
	p.must(p.KillNode(p.ctx, old))
	fresh, err := p.WaitNewPrimary(p.ctx, old)
	p.must(err)
	if fresh > old {
		t.Fatalf("node %d was promoted after node %d: the scenario wants a lower one", fresh, old)
	}
	p.wait("the other standby to follow", func(ctx context.Context) error {
		for _, s := range p.Lab.Status(ctx) {
			if s.ID != old && s.ID != fresh && !s.Streaming {
				return errors.New("it does not stream")
			}
		}
		return nil
	})
	p.must(p.KillPgpool(p.ctx, 0, true))
	p.must(p.StartNode(p.ctx, old))
	p.must(p.StartPgpool(p.ctx, 0))
	p.release(old)
	p.whole("a stale primary taken for the primary", since)
	if got := p.primary(); got != fresh {
		t.Errorf("node %d is the primary, want node %d", got, fresh)
	}
	p.lostInVault(p.healedBy(old, since, topology.MethodRewind), lost)
	p.equal()
}

// during waits until a node's run is at a step.
func (p *pool) during(node int, step string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("the run of node %d to be at step %s", node, step), func(ctx context.Context) error {
		st, err := p.ctl.Status(ctx)
		if err != nil {
			return err
		}
		r := st.Snapshot.Nodes[node].Agent.Run
		if r == nil {
			return errors.New("there is no run")
		}
		if r.Step() != step {
			return fmt.Errorf("it is at step %s", r.Step())
		}
		return nil
	})
}
