package scenarios

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S13: Pgpool-II is killed and started again while a node is resynced, once
// with its status file and once without, when it takes every node for good
// (seen on Pgpool-II 4.3.5). The resync goes on, and ends as it would have.
func TestS13PgpoolRestartedDuringResync(t *testing.T) {
	p := up(t, lab.Options{RepoolConfig: "policy: {max_rate: 6MB}\n"})
	n := p.Standbys()[1]
	for _, forget := range []bool{false, true} {
		since := time.Now()
		p.Wipe(n)
		p.during(n, "copy")
		p.Must(p.KillPgpool(p.Ctx, 0, forget))
		p.Must(p.StartPgpool(p.Ctx, 0))
		p.Whole(fmt.Sprintf("Pgpool-II restarted, status file forgotten: %v", forget), since)
		p.HealedBy(n, since, topology.MethodBaseBackup)
		if runs := p.Runs(n, since); len(runs) != 1 {
			t.Errorf("want one run, which a restart of Pgpool-II does not disturb, got %d: %+v", len(runs), runs)
		}
	}
	p.Equal()
}

// S13, the danger of a forgotten status file: an old primary runs again when
// Pgpool-II starts, has the higher number, and so is taken for the primary.
// Pgpool-II is set right, and the old primary fenced and resynced.
func TestS13StaleOldPrimaryTakenForThePrimary(t *testing.T) {
	p := up(t, lab.Options{})
	first := p.Primary()
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, first))
	old, err := p.WaitNewPrimary(p.Ctx, first)
	p.Must(err)
	p.Whole("the first failover", since)

	lost, err := p.Diverge(p.Ctx, old, 10)
	p.Must(err)
	since = time.Now()
	p.Hold(old)
	p.Must(p.KillNode(p.Ctx, old))
	fresh, err := p.WaitNewPrimary(p.Ctx, old)
	p.Must(err)
	if fresh > old {
		t.Fatalf("node %d was promoted after node %d: the scenario wants a lower one", fresh, old)
	}
	p.Wait("the other standby to follow", func(ctx context.Context) error {
		for _, s := range p.Lab.Status(ctx) {
			if s.ID != old && s.ID != fresh && !s.Streaming {
				return errors.New("it does not stream")
			}
		}
		return nil
	})
	p.Code(fresh, codes.Primary) // Pgpool-II agrees, and the controller has seen it
	p.Must(p.KillPgpool(p.Ctx, 0, true))
	p.Must(p.StartNode(p.Ctx, old))
	p.Must(p.StartPgpool(p.Ctx, 0))
	p.Release(old)
	p.Whole("a stale primary taken for the primary", since)
	if got := p.Primary(); got != fresh {
		t.Errorf("node %d is the primary, want node %d", got, fresh)
	}
	p.lostInVault(p.HealedBy(old, since, topology.MethodRewind), lost)
	p.Equal()
}

// during waits until a node's run is in the middle of a step that moves bytes: it
// has been cleared for it, and some have come. Before that it would rightly be
// cancelled where Pgpool-II does not answer.
func (p *pool) during(node int, step string) {
	p.T.Helper()
	p.Wait(fmt.Sprintf("the run of node %d to be at step %s", node, step), func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		r := st.Snapshot.Nodes[node].Agent.Run
		if r == nil {
			return errors.New("there is no run")
		}
		if r.Step() != step || r.Outcome != topology.RunRunning || r.BytesDone == 0 {
			return fmt.Errorf("it is %s at step %s, %d bytes", r.Outcome, r.Step(), r.BytesDone)
		}
		return nil
	})
}
