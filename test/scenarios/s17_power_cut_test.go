package scenarios

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/plan"
)

// S17: every process is killed at once, and the machines come back in
// different orders. Each time there is one primary, all nodes are attached, and
// what was acknowledged is there. Two orders also show that rows that only the
// old primary had stay, since it is back before anybody could take its place.
func TestS17PowerCut(t *testing.T) {
	p := up(t, lab.Options{SyncStandbys: "ANY 2 (*)"}) // acknowledged is: on all three
	w := p.StartWriter(lab.WriterOptions{Clients: 2})
	servers := func(nodes ...int) {
		for _, n := range nodes {
			p.must(p.StartNode(p.ctx, n))
		}
	}
	pgpool := func() { p.must(p.StartPgpool(p.ctx, 0)) }
	repool := func() { p.must(p.StartController(p.ctx, 0)) }
	for _, c := range []struct {
		name    string
		primary bool // the old one is back first, and stays it
		order   func(primary int, standbys []int)
	}{
		{"servers, Pgpool-II, repool", true, func(pr int, sb []int) { servers(pr, sb[0], sb[1]); pgpool(); repool() }},
		{"repool, Pgpool-II, standbys, and the old primary last", false, func(pr int, sb []int) {
			repool()
			pgpool()
			servers(sb[1], sb[0], pr)
		}},
		{"primary, repool, Pgpool-II, and no standby by hand", true, func(pr int, _ []int) { servers(pr); repool(); pgpool() }},
	} {
		p.must(w.WaitAcked(p.ctx, 20))
		pr, sb := p.primary(), p.standbys()
		var own []lab.Row
		if c.primary {
			rows, err := p.Diverge(p.ctx, pr, 5)
			p.must(err)
			own = rows
		}
		since := time.Now()
		p.must(p.PowerCut(p.ctx))
		c.order(pr, sb)
		p.restartDeafPgpool()
		p.whole(c.name, since)
		missing, err := p.Missing(p.ctx, p.primary(), append(w.Acked(), own...))
		p.must(err)
		if len(missing) != 0 {
			t.Errorf("%s: %d of %d acknowledged rows are missing, the first: %+v", c.name, len(missing), w.Count()+len(own), missing[0])
		}
		if got := p.primary(); c.primary && got != pr {
			t.Errorf("%s: node %d is the primary, and node %d was back before any failure was told", c.name, got, pr)
		}
		for _, n := range sb {
			for _, r := range p.runs(n, since) {
				if c.primary && r.Method.Destructive() {
					t.Errorf("%s: node %d was resynced by %s", c.name, n, r.Method)
				}
			}
		}
	}
	w.Stop()
	p.equal()
}

// restartDeafPgpool does what a person is told to: Pgpool-II, started while no
// node answers and clients knock, may end up with a full queue that it never
// looks at again, and repool says so. It returns when all is well, too.
func (p *pool) restartDeafPgpool() {
	p.t.Helper()
	restart := false
	p.wait("Pgpool-II to find the primary, or to be found deaf", func(ctx context.Context) error {
		st, err := p.ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, d := range st.Decisions {
			switch {
			case d.Code == plan.CodePrimary:
				return nil
			case d.Code == plan.CodePoolDeaf:
				restart = true
				return nil
			}
		}
		return errors.New("the controller sees no primary yet")
	})
	if restart {
		p.t.Log("Pgpool-II carries out no requests: it is restarted")
		p.must(p.KillPgpool(p.ctx, 0, false))
		p.must(p.StartPgpool(p.ctx, 0))
	}
}
