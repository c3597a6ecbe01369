package scenarios

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/lab"
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
			p.Must(p.StartNode(p.Ctx, n))
		}
	}
	pgpool := func() { p.Must(p.StartPgpool(p.Ctx, 0)) }
	repool := func() { p.Must(p.StartController(p.Ctx, 0)) }
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
		{"primary, repool, Pgpool-II, and no standby by hand", true,
			func(pr int, _ []int) { servers(pr); repool(); pgpool() }},
	} {
		p.Must(w.WaitAcked(p.Ctx, 20))
		pr, sb := p.Primary(), p.Standbys()
		var own []lab.Row
		if c.primary {
			rows, err := p.Diverge(p.Ctx, pr, 5)
			p.Must(err)
			own = rows
		}
		since := time.Now()
		p.Must(p.PowerCut(p.Ctx))
		c.order(pr, sb)
		p.restartUnresponsivePgpool()
		p.Whole(c.name, since)
		missing, err := p.Missing(p.Ctx, p.Primary(), append(w.Acked(), own...))
		p.Must(err)
		if len(missing) != 0 {
			t.Errorf("%s: %d of %d acknowledged rows are missing, the first: %+v", c.name, len(missing), w.Count()+len(own),
				missing[0])
		}
		if got := p.Primary(); c.primary && got != pr {
			t.Errorf("%s: node %d is the primary, and node %d was back before any failure was told", c.name, got, pr)
		}
		for _, n := range sb {
			for _, r := range p.Runs(n, since) {
				if c.primary && r.Method.Destructive() {
					t.Errorf("%s: node %d was resynced by %s", c.name, n, r.Method)
				}
			}
		}
	}
	w.Stop()
	p.Equal()
}

// restartUnresponsivePgpool does what a person is told to: Pgpool-II, started while no
// node answers and clients knock, may end up with a full queue that it never
// looks at again, and repool says so. It returns when all is well, too.
func (p *pool) restartUnresponsivePgpool() {
	p.T.Helper()
	restart := false
	p.Wait("Pgpool-II to find the primary, or to be found unresponsive", func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, d := range st.Decisions {
			switch d.Code {
			case codes.Primary:
				return nil
			case codes.PoolUnresponsive:
				restart = true
				return nil
			}
		}
		return errors.New("the controller sees no primary yet")
	})
	if restart {
		p.T.Log("Pgpool-II carries out no requests: it is restarted")
		p.Must(p.KillPgpool(p.Ctx, 0, false))
		p.Must(p.StartPgpool(p.Ctx, 0))
	}
}
