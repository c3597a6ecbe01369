package scenarios

import (
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
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
	p.must(w.WaitAcked(p.ctx, 20))
	w.Stop()

	since := time.Now()
	old := p.primary()
	_, err := p.WaitReplayed(p.ctx, old)
	p.must(err)
	p.hold(-1) // so that repool does not point the others to the new primary
	p.must(p.KillNode(p.ctx, old))
	fresh := p.newPrimary(old)
	astray := slices.DeleteFunc([]int{0, 1, 2, 3}, func(n int) bool { return n == old || n == fresh })
	right, err := p.CommitRows(p.ctx, fresh, 5)
	p.must(err)
	lost, server := map[int][]lab.Row{}, map[int]int{}
	for _, n := range astray {
		p.must(p.PromoteByHand(p.ctx, n))
		lost[n], err = p.CommitRows(p.ctx, n, 5)
		p.must(err)
		if a, b := p.timeline(fresh), p.timeline(n); a != b {
			t.Fatalf("node %d is on timeline %s and node %d on %s: not the case to be shown", fresh, a, n, b)
		}
		server[n] = p.Postmaster(n)
	}

	p.release(-1)
	p.code(astray[0], plan.CodePrimaryAmbiguous)
	p.code(old, plan.CodePrimaryAmbiguous)
	refused := time.Now()
	p.wait("five more passes", func(anyContext) error { return p.passes(refused, 5) })
	for _, n := range astray {
		p.noRuns(n, since)
		if p.Postmaster(n) != server[n] {
			t.Errorf("the server of node %d was touched while nobody knew which is right", n)
		}
		if p.detachedStill(n) != nil {
			t.Errorf("node %d was attached while nobody knew which is right", n)
		}
	}
	p.noRuns(old, since)

	since = time.Now()
	p.must(p.KillNode(p.ctx, astray[0]))
	p.must(p.StopNode(p.ctx, astray[1], lab.Fast))
	p.whole("the ones promoted by hand are gone", since)
	if got := p.primary(); got != fresh {
		t.Errorf("node %d is the primary, and the pool had made node %d it", got, fresh)
	}
	for _, n := range astray {
		run := p.healedBy(n, since, topology.MethodBaseBackup)
		p.lostInVault(run, lost[n])
		for _, r := range p.runs(n, since) {
			if r.Method == topology.MethodRewind {
				t.Errorf("node %d was rewound across equal timeline numbers: %+v", n, r)
			}
		}
	}
	missing, err := p.Missing(p.ctx, fresh, slices.Concat(right, w.Acked()))
	p.must(err)
	if len(missing) > 0 {
		t.Errorf("%d acknowledged rows are missing, the first: %+v", len(missing), missing[0])
	}
	g.end()
	p.equal()
}
