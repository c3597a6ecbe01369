package scenarios

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// S7: the new primary dies while the others are still being resynced from it:
// the newest primary is followed, and the pool is never left without one
// (hazards 8 and 26). First at once, while Pgpool-II still
// has the other standbys down; then in the middle of a rewind.
func TestS07NewPrimaryDiesDuringResync(t *testing.T) {
	p := up(t, lab.Options{Standbys: 3})
	p.guarded()
	w := p.StartWriter(lab.WriterOptions{})
	p.must(w.WaitAcked(p.ctx, 20))

	since := time.Now()
	first := p.primary()
	lost, err := p.Diverge(p.ctx, first, 10)
	p.must(err)
	p.must(p.KillNode(p.ctx, first))
	second := p.newPrimary(first)
	p.must(p.KillNode(p.ctx, second))
	if third := p.newPrimary(second); third == first {
		t.Fatalf("node %d, which had lost commits of its own, became primary", first)
	}
	p.must(w.WaitAcked(p.ctx, 20))
	p.whole("two failovers at once", since)
	p.vaulted(first, lost)

	since = time.Now()
	first = p.primary()
	lost, err = p.Diverge(p.ctx, first, 10)
	p.must(err)
	p.must(p.KillNode(p.ctx, first))
	second = p.newPrimary(first)
	resume := p.caught(copying, p.rewindOf(first)...)
	p.must(p.KillNode(p.ctx, second))
	third := p.newPrimary(second)
	resume()
	p.must(w.WaitAcked(p.ctx, 20))
	p.whole("the source of a rewind killed", since)
	if run := p.healedBy(first, since, topology.MethodBaseBackup); int(run.Upstream) != third {
		t.Errorf("node %d was copied from node %d, want node %d", first, run.Upstream, third)
	}
	p.vaulted(first, lost)
	w.Stop()
	p.equal()
}

// newPrimary waits for a primary other than node old.
func (p *pool) newPrimary(old int) int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	id, err := p.WaitNewPrimary(ctx, old)
	p.must(err)
	return id
}

// S8: five nodes; the primary and two standbys fail at once and are resynced
// side by side: each copy is held in mid-work until all three are under way.
func TestS08FiveNodesThreeResyncs(t *testing.T) {
	p := up(t, lab.Options{Standbys: 4})
	p.guarded()
	w := p.StartWriter(lab.WriterOptions{})
	p.must(w.WaitAcked(p.ctx, 20))
	old, sb := p.primary(), p.standbys()
	since := time.Now()
	lost, err := p.Diverge(p.ctx, old, 10)
	p.must(err)
	for _, n := range sb[2:] {
		p.must(p.KillNode(p.ctx, n))
		p.must(p.DestroyData(p.ctx, n))
	}
	p.must(p.KillNode(p.ctx, old))
	var resume []func()
	for _, program := range [][]string{p.backupOf(sb[2]), p.backupOf(sb[3]), p.rewindOf(old)} {
		resume = append(resume, p.caught(0, program...))
	}
	for _, f := range resume {
		f()
	}
	p.whole("three at once", since)
	p.healedBy(sb[2], since, topology.MethodBaseBackup)
	p.healedBy(sb[3], since, topology.MethodBaseBackup)
	p.lostInVault(p.healedBy(old, since, topology.MethodRewind), lost)
	w.Stop()
	p.equal()
}

// awaitsCheckpoint is nil while a run of the node waits for the checkpoint of
// the new primary.
func (p *pool) awaitsCheckpoint(ctx context.Context, node int, since time.Time) error {
	if runs := p.runs(node, since); len(runs) > 0 {
		return lab.Stop(errors.New("it has ended before the new primary's checkpoint: " + runs[0].Error))
	}
	st, err := p.ctl.Status(ctx)
	if err != nil {
		return err
	}
	run := st.Snapshot.Node(topology.NodeID(node)).Agent.Run
	if run == nil || run.Started.Before(since) || run.Step() != "checkpoint-upstream" {
		return errors.New("it does not")
	}
	return nil
}
