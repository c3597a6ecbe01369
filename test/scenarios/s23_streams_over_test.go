package scenarios

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S23: a standby that somebody promoted to the timeline number of the pool's new
// primary, and made a standby of that by hand, after it had commits of its own. Its
// WAL receiver writes the primary's WAL over its own from the beginning of the
// segment on, so that its disk does not tell any longer (hazard 1). It is
// attached by hand. It is found all the same, detached, and rebuilt; the vault
// does not take the primary's commits for its lost ones, and what it had is kept.
func TestS23StreamsOverItsOwnLine(t *testing.T) {
	p := up(t, lab.Options{})
	old := p.Primary()
	_, err := p.WaitReplayed(p.Ctx, old)
	p.Must(err)
	began := time.Now()
	p.Hold(-1)
	p.Must(p.KillNode(p.Ctx, old))
	fresh := p.NewPrimary(old)
	n := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return i != old && i != fresh })
	p.Must(p.PromoteByHand(p.Ctx, n))
	lost, err := p.CommitRows(p.Ctx, n, 5)
	p.Must(err)
	// Of the same shape and number, and then more: record boundaries that agree are
	// the worst case, since replay may go on over them.
	kept, err := p.CommitRows(p.Ctx, fresh, 20)
	p.Must(err)
	if a, b := p.timeline(fresh), p.timeline(n); a != b {
		t.Fatalf("node %d is on timeline %s and node %d on %s: not the case to be shown", fresh, a, n, b)
	}
	p.Must(p.StopNode(p.Ctx, n, lab.Fast))
	p.Hold(n)
	p.Release(-1)
	p.wrongStandby(n, fresh)
	attached := time.Now()
	p.Wait("five passes over the wrong standby", func(anyContext) error { return p.passes(attached, 5) })

	run := p.detachedAndHealed(n, lost, topology.MethodBaseBackup)
	if run.Vault != nil {
		t.Errorf("WAL that was received over node %d's own was taken for its own: %+v", n, run.Vault)
	}
	if !there(filepath.Join(p.WorkDir(n), "old")) {
		t.Errorf("the directory of node %d, the only place of %d commits, was not kept", n, len(lost))
	}
	missing, err := p.Missing(p.Ctx, fresh, kept)
	p.Must(err)
	if len(missing) > 0 {
		t.Errorf("%d rows of the primary are missing, the first: %+v", len(missing), missing[0])
	}
	p.Whole("all three", began)
	p.Equal()
}
