package scenarios

import (
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S9: three standbys promoted from one point to the same timeline number, one
// by the pool's failover, two by hand (hazard 1). Timeline numbers and history
// files are equal then, and pg_rewind says "no rewind required". While they
// run, nobody can tell which is right: refused, nothing touched. When the ones
// promoted by hand are gone, one killed and one stopped cleanly, their content
// tells: base backup, their commits in the vault, never a rewind.
func TestS09SameTimelineOtherContent(t *testing.T) {
	p := up(t, lab.Options{Standbys: 3})
	g := p.guarded()
	w := p.StartWriter(lab.WriterOptions{})
	p.Must(w.WaitAcked(p.Ctx, 20))
	w.Stop()

	since := time.Now()
	old := p.Primary()
	_, err := p.WaitReplayed(p.Ctx, old)
	p.Must(err)
	p.Hold(-1) // so that repool does not point the others to the new primary
	p.Must(p.KillNode(p.Ctx, old))
	fresh := p.NewPrimary(old)
	astray := slices.DeleteFunc([]int{0, 1, 2, 3}, func(n int) bool { return n == old || n == fresh })
	right, err := p.CommitRows(p.Ctx, fresh, 5)
	p.Must(err)
	lost, server := map[int][]lab.Row{}, map[int]int{}
	for _, n := range astray {
		p.Must(p.PromoteByHand(p.Ctx, n))
		lost[n], err = p.CommitRows(p.Ctx, n, 5)
		p.Must(err)
		if a, b := p.timeline(fresh), p.timeline(n); a != b {
			t.Fatalf("node %d is on timeline %s and node %d on %s: not the case to be shown", fresh, a, n, b)
		}
		server[n] = p.Postmaster(n)
	}

	p.Release(-1)
	p.Code(astray[0], codes.PrimaryAmbiguous)
	p.Code(old, codes.PrimaryAmbiguous)
	refused := time.Now()
	p.Wait("five more passes", func(anyContext) error { return p.passes(refused, 5) })
	for _, n := range astray {
		p.NoRuns(n, since)
		if p.Postmaster(n) != server[n] {
			t.Errorf("the server of node %d was touched while nobody knew which is right", n)
		}
		if p.detachedStill(n) != nil {
			t.Errorf("node %d was attached while nobody knew which is right", n)
		}
	}
	p.NoRuns(old, since)

	since = time.Now()
	p.Must(p.KillNode(p.Ctx, astray[0]))
	p.Must(p.StopNode(p.Ctx, astray[1], lab.Fast))
	p.Whole("the ones promoted by hand are gone", since)
	if got := p.Primary(); got != fresh {
		t.Errorf("node %d is the primary, and the pool had made node %d it", got, fresh)
	}
	for _, n := range astray {
		run := p.HealedBy(n, since, topology.MethodBaseBackup)
		p.lostInVault(run, lost[n])
		for _, r := range p.Runs(n, since) {
			if r.Method == topology.MethodRewind {
				t.Errorf("node %d was rewound across equal timeline numbers: %+v", n, r)
			}
		}
	}
	missing, err := p.Missing(p.Ctx, fresh, slices.Concat(right, w.Acked()))
	p.Must(err)
	if len(missing) > 0 {
		t.Errorf("%d acknowledged rows are missing, the first: %+v", len(missing), missing[0])
	}
	g.end()
	p.Equal()
}
