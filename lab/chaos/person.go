package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/show/control"
)

// person does what repool asks a person for, and no more: after several faults
// at once only the newest primary may have the newest line, and be down.
func (r *run) person(ctx context.Context, st control.Status) error {
	for _, m := range st.Memory.Nodes {
		if m.Parked == "" {
			continue
		}
		r.report.Parked[string(m.Parked)]++
		return r.asked("release", fmt.Sprintf("node %s, parked with %s", m.Node, m.Parked),
			r.ctl.Release(ctx, m.Node, "chaos"))
	}
	for _, d := range st.Decisions {
		if d.Severity != codes.Refused {
			continue
		}
		switch d.Code {
		case codes.PoolUnresponsive:
			return r.unresponsivePgpool(ctx, d)
		case codes.PoolBlind:
			return r.asked("restart Pgpool-II", d.Reason, r.restartPgpool(ctx))
		case codes.NoPrimary, codes.PrimaryStale:
			n := r.readers.lastPrimary()
			if n < 0 || r.lab.Postmaster(n) != 0 {
				continue
			}
			return r.asked("start the last primary", fmt.Sprintf("node %d: %s", n, d.Reason), r.lab.StartNode(ctx, n))
		}
	}
	return nil
}

// unresponsivePgpool is what the runbook says for pool-unresponsive: the last primary first,
// where it is down, and then Pgpool-II.
func (r *run) unresponsivePgpool(ctx context.Context, d plan.Decision) error {
	if n := r.readers.lastPrimary(); n >= 0 && r.lab.Postmaster(n) == 0 {
		if err := r.lab.StartNode(ctx, n); err != nil {
			return r.asked("start the last primary", fmt.Sprintf("node %d: %s", n, d.Reason), err)
		}
		r.noteAct("start the last primary", fmt.Sprintf("node %d: %s", n, d.Reason))
	}
	return r.asked("restart Pgpool-II", d.Reason, r.restartPgpool(ctx))
}

func (r *run) restartPgpool(ctx context.Context) error {
	return errors.Join(r.lab.KillPgpool(ctx, 0, false), r.lab.LaunchPgpool(0))
}

// asked notes what was done; the error makes the wait look again.
func (r *run) asked(what, why string, err error) error {
	r.noteAct(what, why)
	return errors.Join(fmt.Errorf("a person was asked to %s", what), err)
}

// noteAct counts an act of a person.
func (r *run) noteAct(what, why string) {
	r.readers.disturbed()
	r.acted = time.Now()
	r.report.Asked[what]++
	r.say("a person was asked to %s: %s", what, why)
}
