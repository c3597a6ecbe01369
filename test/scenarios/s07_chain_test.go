package scenarios

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

// S7: the new primary dies while the others are still being resynced from it:
// the newest primary is followed, and the pool is never left without one
// (hazards 8 and 26). First at once, while Pgpool-II still
// has the other standbys down; then in the middle of a rewind.
func TestS07NewPrimaryDiesDuringResync(t *testing.T) {
	p := up(t, lab.Options{Standbys: 3})
	p.guarded()
	w := p.StartWriter(lab.WriterOptions{})
	p.Must(w.WaitAcked(p.Ctx, 20))

	since := time.Now()
	first := p.Primary()
	lost, err := p.Diverge(p.Ctx, first, 10)
	p.Must(err)
	p.Hold(first) // resynced, it could rightly be the next primary
	p.Must(p.KillNode(p.Ctx, first))
	second := p.NewPrimary(first)
	p.Must(p.KillNode(p.Ctx, second))
	if third := p.NewPrimary(second); third == first {
		t.Fatalf("node %d, which had lost commits of its own, became primary", first)
	}
	p.Release(first)
	p.Must(w.WaitAcked(p.Ctx, 20))
	p.Whole("two failovers at once", since)
	p.Vaulted(first, lost)

	since = time.Now()
	first = p.Primary()
	lost, err = p.Diverge(p.Ctx, first, 10)
	p.Must(err)
	caught := p.Catch(testpool.Copying, p.RewindOf(first)...)
	p.Must(p.KillNode(p.Ctx, first))
	second = p.NewPrimary(first)
	resume := caught()
	p.Must(p.KillNode(p.Ctx, second))
	third := p.NewPrimary(second)
	resume()
	p.Must(w.WaitAcked(p.Ctx, 20))
	p.Whole("the source of a rewind killed", since)
	if run := p.HealedBy(first, since, topology.MethodBaseBackup); int(run.Upstream) != third {
		t.Errorf("node %d was copied from node %d, want node %d", first, run.Upstream, third)
	}
	p.Vaulted(first, lost)
	w.Stop()
	p.Equal()
}

// S8: five nodes; the primary and two standbys fail at once and are resynced
// side by side: each copy is held in mid-work until all three are under way.
func TestS08FiveNodesThreeResyncs(t *testing.T) {
	p := up(t, lab.Options{Standbys: 4, RepoolConfig: testpool.SlowCopies})
	p.guarded()
	w := p.StartWriter(lab.WriterOptions{})
	p.Must(w.WaitAcked(p.Ctx, 20))
	old, sb := p.Primary(), p.Standbys()
	since := time.Now()
	lost, err := p.Diverge(p.Ctx, old, 10)
	p.Must(err)
	var caught []func() (resume func())
	for _, program := range [][]string{p.BackupOf(sb[2]), p.BackupOf(sb[3]), p.RewindOf(old)} {
		caught = append(caught, p.Catch(0, program...))
	}
	for _, n := range sb[2:] {
		p.Wipe(n)
	}
	p.Must(p.KillNode(p.Ctx, old))
	var resume []func()
	for _, wait := range caught {
		resume = append(resume, wait())
	}
	for _, goOn := range resume {
		goOn()
	}
	p.Whole("three at once", since)
	p.HealedBy(sb[2], since, topology.MethodBaseBackup)
	p.HealedBy(sb[3], since, topology.MethodBaseBackup)
	p.lostInVault(p.HealedBy(old, since, topology.MethodRewind), lost)
	w.Stop()
	p.Equal()
}

// awaitsCheckpoint is nil while a run of the node waits for the checkpoint of
// the new primary.
func (p *pool) awaitsCheckpoint(ctx context.Context, node int, since time.Time) error {
	if runs := p.Runs(node, since); len(runs) > 0 {
		return lab.Stop(errors.New("it has ended before the new primary's checkpoint: " + runs[0].Error))
	}
	st, err := p.Ctl.Status(ctx)
	if err != nil {
		return err
	}
	run := st.Snapshot.Node(topology.NodeID(node)).Agent.Run
	if run == nil || run.Started.Before(since) || run.Step() != "checkpoint-upstream" {
		return errors.New("it does not")
	}
	return nil
}
