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

// The reasons with which Options.Soft is cancelled.
var (
	// ErrCancelled: a person or the controller wants the run to stop; what can
	// be undone is undone.
	ErrCancelled = errors.New("the run was cancelled")
	// ErrShutdown: the agent is going down; the directory stays where it is and
	// the next agent's planner decides.
	ErrShutdown = errors.New("the agent is shutting down")
)

// Log is where the engine writes its record; it must be durable on return.
type Log interface {
	Put(journal.Record) error
}

// Options are what a run needs beside its request.
type Options struct {
	Host     Host
	Upstream UpstreamLink
	Log      Log
	// Prior is what the journal says about earlier runs.
	Prior Prior
	// Holder is for the record: who asked.
	Holder string
	// Soft asks the run to stop at its next safe point, by its cause:
	// ErrCancelled or ErrShutdown. Nil: never.
	Soft context.Context
	// Clearance blocks until the controller has cleared the step, or ctx ends.
	// Nil: no step is ever cleared.
	Clearance func(ctx context.Context, step string) error
	// See is called with each change of the state, one call at a time. It must
	// not block and must not call back. May be nil.
	See func(topology.RunState)
	// Points is called at every point that AllPoints names. Nil in production.
	Points func(name string)
	// ClearanceWait is how long a step waits for clearance; zero: 30 s.
	ClearanceWait time.Duration
	// Patience is how long a started standby may make no progress; zero: 10 s.
	Patience time.Duration
	// Headroom is what must stay free beside a copy, in bytes.
	Headroom uint64
}

// Prior is what earlier runs left.
type Prior struct {
	// Record is the newest readable one; the zero value if there is none.
	Record journal.Record
	// Garbled: some journal file cannot be read, so a directory in repair is unknown.
	Garbled bool
}

// run is one run in progress.
type run struct {
	Options
	ctx   context.Context // its end is the end of the agent
	req   topology.RunRequest
	state state
	// size is what the step that moves data is expected to move; 0: unknown.
	size uint64
	// unstreamed is where the WAL of a copy ended that had not streamed yet, before it was stopped; 0: unknown.
	unstreamed topology.LSN
	// streamed: such a copy streamed from the upstream after all, right before it was stopped.
	streamed bool
	// unchanged: the step that damages found nothing to change.
	unchanged bool
}

// Run executes req and returns its record when the run has ended. When
// ctx ends it stops at once, wherever it is, as a crash would. The caller holds the node's lock.
func Run(ctx context.Context, o Options, req topology.RunRequest) journal.Record {
	if o.Soft == nil {
		o.Soft = context.WithoutCancel(ctx)
	}
	if o.ClearanceWait == 0 {
		o.ClearanceWait = 30 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	r := &run{Options: o, ctx: ctx, req: req}
	r.state.init(r)
	err := r.begin()
	if err == nil {
		err = r.all()
	}
	r.end(err)
	return r.state.record()
}

// begin takes over what earlier runs left and makes the run itself durable.
func (r *run) begin() *Error {
	first := &Step{Name: "begin", Code: codes.Internal}
	if err := r.inherit(); err != nil {
		return first.failed(fmt.Errorf("look for a directory in repair: %w", err))
	}
	if err := r.state.put(); err != nil {
		return first.failed(err)
	}
	return nil
}

// all runs the method's steps in order until one fails.
func (r *run) all() *Error {
	list := steps[r.req.Method]
	if len(list) == 0 {
		return (&Step{Name: "begin"}).failed(fmt.Errorf("method %q is not one that an agent runs", r.req.Method))
	}
	for i := range list {
		s := &list[i]
		if err := r.stopped(s.Bound); err != nil {
			return s.failed(err)
		}
		if err := r.step(s); err != nil {
			return err
		}
	}
	return nil
}

// stopped says why the run must not go on: the end of ctx always counts, a
// soft request only where the node is in a fit state.
func (r *run) stopped(bound bool) error {
	if r.ctx.Err() != nil {
		return &Error{Code: codes.Interrupted, Err: ErrShutdown}
	}
	if bound || r.Soft.Err() == nil {
		return nil
	}
	if cause := context.Cause(r.Soft); errors.Is(cause, ErrShutdown) {
		return &Error{Code: codes.Interrupted, Err: ErrShutdown}
	}
	return &Error{Code: codes.Cancelled, Err: ErrCancelled}
}

// step runs one step: look, journal the intent, wait for clearance, act, note.
func (r *run) step(s *Step) *Error {
	r.point(s, atBefore)
	r.state.stepBegin(s)
	if s.done != nil {
		note, done, err := s.done(r.ctx, r)
		if err != nil {
			return r.stepFailed(s, err)
		}
		if done {
			r.state.stepEnd(note, nil)
			r.point(s, atAfter)
			return nil
		}
	}
	if s.intend != nil {
		s.intend(r)
	}
	if !s.ReadOnly {
		if err := r.state.put(); err != nil {
			return r.stepFailed(s, &Error{Code: codes.Internal, Err: err})
		}
	}
	r.point(s, atIntent)
	ctx, release := r.stepContext(s.Breakable)
	defer release()
	if err := r.allow(s); err != nil {
		return r.stepFailed(s, err)
	}
	note, err := s.do(ctx, r)
	if err != nil {
		return r.stepFailed(s, r.whyBroken(s, err))
	}
	r.point(s, atEffect)
	if s.Damages {
		repair := journal.RepairRewound
		if r.unchanged {
			repair = journal.RepairWhole
		}
		r.state.set(func(rec *journal.Record) { rec.Repair, rec.Run.Damaged = repair, false })
	}
	r.state.stepEnd(note, nil)
	if s.Damages {
		if err := r.state.put(); err != nil {
			return r.stepFailed(s, &Error{Code: codes.Internal, Err: err})
		}
	}
	r.point(s, atAfter)
	return nil
}

// allow waits for clearance where the step needs it, confirms the upstream
// over a fresh connection, and marks the damage that is about to begin.
func (r *run) allow(s *Step) error {
	if !s.Clearance {
		return nil
	}
	if err := r.waitClearance(s.Name); err != nil {
		return err
	}
	if err := r.confirmUpstream(); err != nil {
		return err
	}
	r.point(s, atCleared)
	if !s.Damages {
		return nil
	}
	r.state.set(func(rec *journal.Record) { rec.Repair, rec.Run.Damaged = journal.RepairDamaged, true })
	if err := r.state.put(); err != nil {
		// Not on disk, so nothing was begun: the directory is as whole as before.
		r.state.set(func(rec *journal.Record) { rec.Repair, rec.Run.Damaged = journal.RepairWhole, false })
		return &Error{Code: codes.Internal, Err: err}
	}
	r.point(s, atMarked)
	return nil
}

// waitClearance makes the run wait until the controller has looked again.
func (r *run) waitClearance(step string) error {
	r.state.set(func(rec *journal.Record) { rec.Run.Outcome = topology.RunWaiting })
	if err := r.state.put(); err != nil {
		return &Error{Code: codes.Internal, Err: err}
	}
	ctx, release := r.stepContext(true)
	defer release()
	ctx, cancel := context.WithTimeout(ctx, r.ClearanceWait)
	defer cancel()
	err := errors.New("no controller can clear this run")
	if r.Clearance != nil {
		err = r.Clearance(ctx, step)
	}
	r.state.set(func(rec *journal.Record) { rec.Run.Outcome = topology.RunRunning })
	if err == nil {
		return nil
	}
	if stop := r.stopped(false); stop != nil {
		return stop
	}
	return Errorf(codes.NoClearance, "no clearance from the controller within %s: %w", r.ClearanceWait, err)
}

// stepContext is the step's context; release must be called at its end.
func (r *run) stepContext(breakable bool) (context.Context, func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	if !breakable {
		return ctx, cancel
	}
	stop := context.AfterFunc(r.Soft, cancel)
	return ctx, func() { stop(); cancel() }
}

// whyBroken replaces the error of a step that was stopped on purpose.
func (r *run) whyBroken(s *Step, err error) error {
	stop := r.stopped(!s.Breakable)
	if stop == nil {
		return err
	}
	var e *Error
	if errors.As(stop, &e) {
		e.Err = fmt.Errorf("%w: %w", e.Err, err)
	}
	return stop
}

// stepFailed notes the failure in the step and returns it completed.
func (r *run) stepFailed(s *Step, err error) *Error {
	se := s.failed(err)
	if s.Damages && se.Untouched {
		r.state.set(func(rec *journal.Record) {
			if rec.Repair == journal.RepairDamaged {
				rec.Repair, rec.Run.Damaged = journal.RepairWhole, false
			}
		})
	}
	r.state.stepEnd("", se.Err)
	return se
}

func (r *run) point(s *Step, part string) { r.pass(s.Name + ":" + part) }

func (r *run) pass(name string) {
	if r.Points != nil {
		r.Points(string(r.req.Method) + ":" + name)
	}
}
