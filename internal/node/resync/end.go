package resync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
)

// end undoes what can be undone and journals the outcome. An interrupted run
// is left exactly as it is: the next one takes over from there.
func (r *run) end(err *Error) {
	outcome := topology.RunDone
	if err != nil {
		outcome = topology.RunFailed
		switch err.Code {
		case codes.Cancelled:
			outcome = topology.RunCancelled
		case codes.Interrupted:
			outcome = topology.RunInterrupted
		}
		if outcome != topology.RunInterrupted {
			err = r.undo(err)
		}
	}
	r.pass("end:before")
	damaged := r.damaged()
	r.state.set(func(rec *journal.Record) {
		run := &rec.Run
		run.Outcome, run.Damaged = outcome, damaged
		run.Ended = time.Now()
		if err != nil {
			run.Code, run.Error, run.Hint = err.Code, err.Error(), err.hint(r.req.Node.String())
		}
	})
	if e := r.state.put(); e != nil {
		r.state.set(func(rec *journal.Record) {
			rec.Run.Error = errors.Join(errors.New(rec.Run.Error), e).Error()
		})
	}
	r.pass("end:after")
}

// undo moves a whole directory back to its place after a failure before any damage,
// and removes a copy that was not finished. After damage nothing is undone:
// the directory stays in the work directory, where it cannot be started by mistake.
func (r *run) undo(cause *Error) *Error {
	s := &Step{Name: "undo", Code: codes.Internal}
	note := ""
	err := r.dropCopy(r.ctx)
	home, back, e := r.mayGoHome()
	err = errors.Join(err, e)
	if back {
		r.pass("undo:before")
		r.state.stepBegin(s)
		if e = r.Host.Move(InRepair, Home); e == nil {
			r.state.set(func(rec *journal.Record) { rec.Repair, rec.Homed = journal.RepairNone, false })
			note = "the directory is back in its place, as it was"
		} else {
			err = errors.Join(err, fmt.Errorf("bring the directory home: %w", e))
		}
		r.state.stepEnd(note, e)
		r.pass("undo:effect")
	} else if !home && r.state.repair() == journal.RepairDamaged {
		cause.Err = fmt.Errorf("%w (the directory is half done and stays in the work directory; "+
			"a base backup replaces it)", cause.Err)
	}
	if err != nil {
		cause.Err = fmt.Errorf("%w; and undoing it failed: %w", cause.Err, err)
	}
	return cause
}

// mayGoHome says whether Home is taken, and whether the directory in repair may
// return to it as it is.
func (r *run) mayGoHome() (home, back bool, err error) {
	if home, err = r.Host.Exists(Home); err != nil || home {
		return home, false, err
	}
	repair, err := r.Host.Exists(InRepair)
	return home, err == nil && repair && r.state.repair() == journal.RepairWhole, err
}

// dropCopy deletes a copy that has not replaced the data directory, since the next one needs its space.
func (r *run) dropCopy(ctx context.Context) error {
	if r.req.Method != topology.MethodBaseBackup {
		return nil
	}
	there, err := r.Host.Exists(New)
	if err == nil && there {
		err = r.Host.Remove(New)
	}
	if err != nil || !there {
		return err
	}
	return r.Host.EmptyTrash(ctx, 0)
}

// damaged says whether the node has nothing but a half-done directory.
func (r *run) damaged() bool { return Damaged(r.state.record(), r.Host) }

// Damaged says whether all that the node has is a directory in repair that must
// never be started. Where the places cannot be looked at, the record counts.
func Damaged(rec journal.Record, h HostInspector) bool {
	if rec.Repair != journal.RepairDamaged {
		return false
	}
	home, err := h.Exists(Home)
	if err != nil {
		return rec.Run.Damaged
	}
	repair, err := h.Exists(InRepair)
	return !home && (repair || err != nil)
}

// TakeOver closes the record of a run whose process has died: it is
// interrupted, at the step where the journal last saw it. Nothing is moved;
// what stays in the work directory cannot be started, and the planner decides what follows.
func TakeOver(rec journal.Record, h HostInspector, now time.Time) journal.Record {
	run := &rec.Run
	step := run.Step()
	run.Outcome, run.Code = topology.RunInterrupted, codes.Interrupted
	run.Error = fmt.Sprintf("the agent ended during step %q", step)
	run.Damaged = Damaged(rec, h)
	if run.Damaged {
		info, _ := codes.Explain(codes.Damaged)
		run.Hint = info.Hint(rec.Run.Node.String())
	}
	run.Updated, run.Ended = now, now
	if n := len(run.Steps); n > 0 && run.Steps[n-1].Ended.IsZero() {
		run.Steps[n-1].Error = "interrupted"
	}
	return rec
}

// inherit makes the run's record begin with what the newest one knew of the
// directory in repair. A directory that cannot be verified is treated as damaged.
func (r *run) inherit() error {
	prior := r.Prior.Record
	r.state.set(func(rec *journal.Record) {
		rec.Seq, rec.Old, rec.Unproven = prior.Seq+1, prior.Old, prior.Unproven
	})
	there, err := r.Host.Exists(InRepair)
	if err != nil {
		// Keep what was known, so that the next run can inherit it from here.
		r.state.set(func(rec *journal.Record) { r.adopt(rec, prior) })
		return err
	}
	if !there {
		return nil
	}
	r.state.set(func(rec *journal.Record) { r.adopt(rec, prior) })
	damaged := r.damaged()
	r.state.set(func(rec *journal.Record) { rec.Run.Damaged = damaged })
	return nil
}

// adopt copies into rec what prior says of the directory in repair.
func (r *run) adopt(rec *journal.Record, prior journal.Record) {
	rec.Repair, rec.Saved, rec.Homed = prior.Repair, prior.Saved, prior.Homed
	rec.Run.Vault, rec.Run.Damaged = prior.Run.Vault, prior.Run.Damaged
	switch {
	case r.Prior.Garbled, prior.Repair == journal.RepairNone:
		rec.Repair = journal.RepairDamaged
	case prior.Repair == journal.RepairRewound && !sameUpstream(prior.Request.Upstream, r.req.Upstream):
		rec.Repair = journal.RepairDamaged // rewound to a line that is no longer the pool's
	}
}

// sameUpstream says whether a is still b: the same node on the same line.
func sameUpstream(a, b topology.Upstream) bool {
	return a.Node == b.Node && a.SystemID == b.SystemID && a.History.TLI == b.History.TLI &&
		a.History.Text() == b.History.Text()
}
