package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/proof"
)

// round is a few faults, and quiet after them.
func (r *run) round(ctx context.Context) error {
	n := 1 + r.rnd.IntN(3)
	if r.o.Sync {
		n = 1
	}
	for range n {
		if err := r.oneFault(ctx); err != nil {
			return err
		}
		pause(ctx, time.Duration(r.rnd.IntN(2500))*time.Millisecond)
		if len(r.undo) > 0 && r.rnd.IntN(2) == 0 {
			if err := r.endFaults(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.endFaults(ctx); err != nil {
		return err
	}
	return r.quiet(ctx)
}

// oneFault draws until a fault fits the moment.
func (r *run) oneFault(ctx context.Context) error {
	for range 50 {
		f := r.faults[r.rnd.IntN(len(r.faults))]
		fctx, cancel := context.WithTimeout(ctx, time.Minute)
		r.readers.disturbed()
		what, err := f.do(r, fctx)
		r.readers.disturbed()
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errNotNow):
			continue
		case err != nil:
			// The pool was in the middle of something else: half a fault is one, too.
			r.say("fault %s: %s: %v", f.kind, what, err)
		default:
			r.say("fault %s: %s", f.kind, what)
		}
		r.report.Faults[f.kind]++
		return nil
	}
	return nil // nothing fits, such as while nothing runs: quiet will see to it
}

// endFaults ends those that last.
func (r *run) endFaults(ctx context.Context) error {
	var errs []error
	for _, u := range slices.Backward(r.undo) {
		if err := u.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("end fault %s: %w", u.kind, err))
		}
	}
	r.undo = nil
	return errors.Join(errs...)
}

// quiet waits until repool has healed everything, and counts.
func (r *run) quiet(ctx context.Context) error {
	begun := time.Now()
	hctx, cancel := context.WithTimeout(ctx, healLimit)
	err := lab.WaitFor(hctx, "full redundancy", func(ctx context.Context) error { return r.whole(ctx, begun) })
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.report.violate("not healed within %s: %v", healLimit, err)
		return nil
	}
	took := time.Since(begun)
	r.report.Slowest = max(r.report.Slowest, took.Seconds())
	if err := r.events(ctx); err != nil {
		return err
	}
	return r.count(ctx, took)
}

// whole says what is missing for full redundancy, and does what repool asks a
// person for.
func (r *run) whole(ctx context.Context, after time.Time) error {
	st, err := r.ctl.Status(ctx)
	if err != nil {
		return err
	}
	if !st.Snapshot.Taken.After(after) || !st.Snapshot.Taken.After(r.acted) || len(st.Decisions) == 0 {
		return errors.New("the controller has not looked yet")
	}
	if err := r.person(ctx, st); err != nil {
		return err
	}
	for _, d := range st.Decisions {
		if d.Severity != codes.OK {
			return fmt.Errorf("node %d: %s: %s", d.Node, d.Code, d.Reason)
		}
	}
	if err := lab.Healthy(r.lab.Status(ctx)); err != nil {
		return err
	}
	return proof.NothingLeft(ctx, r.lab)
}

// count compares the copies and accounts for every row so far.
func (r *run) count(ctx context.Context, took time.Duration) error {
	resume := r.writer.Pause()
	defer resume()
	cctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	acked := r.writer.Acked()
	a, err := proof.Take(cctx, r.lab, append(slices.Clone(acked), r.byHand...))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.report.violate("the copies cannot be compared: %v", err)
		return nil
	}
	rep := &r.report
	rep.Rounds++
	rep.Acked, rep.Present, rep.Vaulted = a.Acked, a.Present, a.Vaulted
	rep.Unexplained, rep.Falsely, r.missing = len(a.Unexplained), len(a.Falsely), a.Missing
	if !a.Equal() {
		rep.violate("the copies differ: %v", a.Differences)
	}
	if rep.Unexplained > 0 {
		rep.violate("acknowledged, and neither present nor in a vault: %s", sample(a.Unexplained))
	}
	if rep.Falsely > 0 {
		rep.violate("called lost by a vault, and present: %s", sample(a.Falsely))
	}
	if r.o.Sync {
		hand := map[string]bool{}
		for _, row := range r.byHand {
			hand[row.Payload] = true
		}
		lost := slices.DeleteFunc(slices.Clone(a.Missing), func(row lab.Row) bool { return hand[row.Payload] })
		if rep.SyncLost = len(lost); len(lost) > 0 {
			rep.violate("acknowledged under synchronous replication, and missing: %s", sample(lost))
		}
	}
	r.say("quiet after %.1f s: %d rows = %d present + %d in the vault + %d unexplained", took.Seconds(), a.Acked,
		a.Present, a.Vaulted, rep.Unexplained)
	return nil
}

// events counts what the controller has recorded since the last time.
func (r *run) events(ctx context.Context) error {
	events, err := r.ctl.History(ctx, event.Filter{Since: r.begun.Truncate(time.Second), Limit: 10000})
	if err != nil {
		return err
	}
	newest := r.told
	for _, e := range events {
		if e.ID <= r.told {
			continue
		}
		newest = max(newest, e.ID)
		switch {
		case e.Kind == "attach":
			r.report.Attaches++
		case e.Kind == "run" && e.Code == string(topology.RunDone):
			var s topology.RunState
			if json.Unmarshal(e.Data, &s) == nil {
				r.report.Healings[string(s.Method)]++
			}
		}
	}
	r.told = newest
	return nil
}
