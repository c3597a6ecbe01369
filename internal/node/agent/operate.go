package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
)

// fenceLimit bounds a fence. It is long enough for fast, immediate and SIGKILL.
const fenceLimit = 2 * time.Minute

// Acquire returns the next token for holder. ErrLocked while a run of another
// holder is in progress.
func (a *Agent) Acquire(ctx context.Context, holder string) (topology.Token, error) {
	if !printable(holder, 200) || holder == "" {
		return 0, fmt.Errorf("holder %q: want a printable name of at most 200 bytes: %w", holder, agentapi.ErrRefused)
	}
	var token topology.Token
	err := a.withNode(ctx, func() error {
		if act := a.runs.current(); act != nil && act.holder != holder {
			return fmt.Errorf("run %s of %s is in progress: %w", act.id, act.holder, agentapi.ErrLocked)
		}
		var err error
		token, err = a.tokens.next(holder)
		return err
	})
	return token, err
}

// StartRun begins a run, which belongs to the agent from then on. It is
// idempotent: a second request with one id starts no second run, whatever became
// of the first.
func (a *Agent) StartRun(ctx context.Context, req topology.RunRequest) error {
	if err := a.validate(req); err != nil {
		return err
	}
	return a.withNode(ctx, func() error {
		g, err := a.tokens.check(req.Token)
		if err != nil {
			return err
		}
		known, err := a.knownRun(req)
		if err != nil || known {
			return err
		}
		if act := a.runs.current(); act != nil {
			return fmt.Errorf("run %s of %s is in progress: %w", act.id, act.holder, agentapi.ErrLocked)
		}
		if why := a.held(); why != "" { // of which this caller has not heard yet
			return fmt.Errorf("node %s is %s: %w", a.opts.Node, why, agentapi.ErrRefused)
		}
		prior, err := a.prior()
		if err != nil {
			return err
		}
		if err := a.journal.Prune(); err != nil {
			a.log.Warn("prune the journal", "err", err)
		}
		return a.begin(prior, g.Holder, req)
	})
}

// knownRun says whether that run was requested before; ErrRefused when the id
// names a run of another method.
func (a *Agent) knownRun(req topology.RunRequest) (bool, error) {
	var method topology.Method
	if r := a.runs.find(req.ID); r != nil {
		method = r.req.Method
	} else {
		rec, err := a.journal.Get(req.ID)
		if errors.Is(err, journal.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		method = rec.Request.Method
	}
	if method != req.Method {
		return false, fmt.Errorf("run %s exists already, with method %s: %w", req.ID, method, agentapi.ErrRefused)
	}
	return true, nil
}

// begin starts the run's goroutine. The file lock passes to it.
func (a *Agent) begin(prior resync.Prior, holder string, req topology.RunRequest) error {
	act := newRunning(a.ctx, holder, req)
	a.runs.mu.Lock()
	defer a.runs.mu.Unlock()
	select {
	case <-a.closing:
		return fmt.Errorf("the agent is shutting down: %w", agentapi.ErrRefused)
	default:
	}
	a.runs.active = act
	a.log.Info("run begins", "run", req.ID, "method", string(req.Method), "code", req.Code)
	go a.execute(act, prior)
	return nil
}

// execute runs act to its end and frees the node. Close waits for it.
func (a *Agent) execute(act *running, prior resync.Prior) {
	rec := resync.Run(a.ctx, resync.Options{
		Host:     a.opts.Host,
		Upstream: a.opts.Upstream,
		Log:      a.journal,
		Prior:    prior,
		Holder:   act.holder,
		Soft:     act.soft,
		See: func(st topology.RunState) {
			if !st.Outcome.Ended() {
				act.publish(st)
			}
		},
		Clearance:     act.waitCleared,
		Points:        a.opts.Points,
		ClearanceWait: a.opts.ClearanceWait,
		Patience:      a.opts.Patience,
		Headroom:      a.opts.Headroom,
	}, act.req)
	a.turn <- struct{}{} // no order may rely on the run's lock while it is released
	a.runs.mu.Lock()
	if err := a.lock.Release(); err != nil {
		a.log.Warn("release the node's lock", "err", err)
	}
	a.runs.active, a.runs.last = nil, act
	a.runs.mu.Unlock()
	<-a.turn
	if rec.Run.Outcome == topology.RunDone {
		a.useConsent()
	}
	act.publish(rec.Run)
	act.ask(nil)
	close(act.done)
	a.log.Info("run ended", "run", act.id, "outcome", string(rec.Run.Outcome), "code", rec.Run.Code,
		"step", rec.Run.Step(), "err", rec.Run.Error)
}

// Clear lets a waiting run carry out its step. It is idempotent.
func (a *Agent) Clear(_ context.Context, token topology.Token, id, step string) error {
	if _, err := a.tokens.check(token); err != nil {
		return err
	}
	act := a.runs.find(id)
	if act == nil {
		return fmt.Errorf("clear run %q: it is not in progress here: %w", id, agentapi.ErrNoRun)
	}
	if !act.clear(step) {
		st, _ := act.look()
		return fmt.Errorf("clear step %q of run %s: it is %s at step %q: %w",
			step, id, st.Outcome, st.Step(), agentapi.ErrRefused)
	}
	return nil
}

// Cancel asks a run to stop at its next safe point. A run that has ended is
// left as it is.
func (a *Agent) Cancel(ctx context.Context, token topology.Token, id string) error {
	if _, err := a.tokens.check(token); err != nil {
		return err
	}
	if act := a.runs.find(id); act != nil {
		act.ask(resync.ErrCancelled)
		return nil
	}
	_, err := a.Run(ctx, id)
	return err
}

// Fence stops the node's server and proves that it is gone. Once begun, it
// continues when ctx ends.
func (a *Agent) Fence(ctx context.Context, token topology.Token) (topology.Fenced, error) {
	type result struct {
		fenced topology.Fenced
		err    error
	}
	out := make(chan result, 1)
	go func() {
		var res result
		res.err = a.withNode(a.ctx, func() error {
			if _, err := a.tokens.check(token); err != nil {
				return err
			}
			if act := a.runs.current(); act != nil {
				return fmt.Errorf("run %s of %s is in progress: %w", act.id, act.holder, agentapi.ErrLocked)
			}
			limited, cancel := context.WithTimeout(a.ctx, fenceLimit)
			defer cancel()
			// A fast stop of a primary with standbys sends them all its WAL, and
			// nothing is lost. A primary without standbys is a second one: its
			// shutdown checkpoint could recycle WAL that a rewind needs.
			sending, err := a.opts.Host.Sending()
			if err != nil {
				return fmt.Errorf("fence node %s: %w", a.opts.Node, err)
			}
			res.fenced, err = a.opts.Host.StopServer(limited, !sending)
			if err != nil {
				return fmt.Errorf("fence node %s: %w", a.opts.Node, err)
			}
			a.log.Info("fenced", "was_running", res.fenced.WasRunning, "mode", res.fenced.Mode)
			return nil
		})
		out <- res
	}()
	select {
	case res := <-out:
		return res.fenced, res.err
	case <-ctx.Done():
		return topology.Fenced{}, ctx.Err()
	}
}
