package chaos

import (
	"context"
	"errors"
	"fmt"

	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/plan"
)

// person does what repool asks a person for, and no more: after several faults
// at once only the newest primary may have the newest line, and be down.
func (r *run) person(ctx context.Context, st control.Status) error {
	for _, m := range st.Memory.Nodes {
		if m.Parked == "" {
			continue
		}
		r.report.Parked[string(m.Parked)]++
		return r.asked("release", fmt.Sprintf("node %s, parked with %s", m.Node, m.Parked), r.ctl.Release(ctx, m.Node, "chaos"))
	}
	for _, d := range st.Decisions {
		if d.Severity != plan.Refused {
			continue
		}
		switch d.Code {
		case plan.CodePoolBlind:
			return r.asked("restart Pgpool-II", d.Reason, errors.Join(r.lab.KillPgpool(ctx, 0, false), r.lab.LaunchPgpool(0)))
		case plan.CodeNoPrimary, plan.CodePrimaryStale:
			n := r.readers.lastPrimary()
			if n < 0 || r.lab.Postmaster(n) != 0 {
				continue
			}
			return r.asked("start the last primary", fmt.Sprintf("node %d: %s", n, d.Reason), r.lab.StartNode(ctx, n))
		}
	}
	return nil
}

// asked notes what was done; the error makes the wait look again.
func (r *run) asked(what, why string, err error) error {
	r.report.Asked[what]++
	r.say("a person was asked to %s: %s", what, why)
	return errors.Join(fmt.Errorf("a person was asked to %s", what), err)
}
