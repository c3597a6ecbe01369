package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/history"
)

// NewHook wires the process of a hook: only what a promotion needs, so that it starts
// fast. done ends what was started to reach agents: nothing may outlive a hook.
func NewHook(p *config.Pool, log *slog.Logger, out io.Writer) (d hook.Deps, done func()) {
	own := newAgents(p, log, readWrite)
	return hookDeps(p, own, out), own.hangUp
}

func hookDeps(p *config.Pool, have *agents, out io.Writer) hook.Deps {
	return hook.Deps{
		Pool: p, Dial: hook.DialSQL(p), Control: control.NewClient(p.Controller.Socket), Out: out,
		Held:  func(id topology.NodeID) (bool, error) { return held(p.Controller.StateDir, id, time.Now()) },
		Agent: func(id topology.NodeID) (hook.Fencer, error) { return have.of(id) },
	}
}

// held reads the second copy of the holds: the controller may not be there to ask.
func held(stateDir string, node topology.NodeID, now time.Time) (bool, error) {
	var holds []plan.Hold
	if _, err := history.CopyAt(stateDir, history.HoldsFile).Load(&holds); err != nil {
		return false, fmt.Errorf("look for holds: %w", err)
	}
	return slices.ContainsFunc(holds, func(h plan.Hold) bool { return h.Covers(node, now) }), nil
}

// unfinished finishes promotions whose hook was killed.
type unfinished struct {
	deps hook.Deps
	log  *slog.Logger
}

// Pending is whether the spool holds anything.
func (u *unfinished) Pending() bool {
	events, err := hook.Pending(u.deps.Pool.Controller.StateDir)
	return err == nil && len(events) > 0
}

// Resume continues each event whose hook has ended.
func (u *unfinished) Resume(ctx context.Context) ([]controller.FinishedHook, error) {
	events, err := hook.Pending(u.deps.Pool.Controller.StateDir)
	if err != nil {
		return nil, err
	}
	var errs []error
	var done []controller.FinishedHook
	for _, e := range events {
		rctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		r, err := hook.Resume(rctx, u.deps, e)
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, controller.FinishedHook{Node: r.Node, Code: string(r.Code), Text: r.Text})
		level := slog.LevelInfo
		if r.Code == hook.CodeOutdated {
			level = slog.LevelWarn
		}
		u.log.Log(ctx, level, "finished a hook", "event", e.String(), "code", string(r.Code), "text", r.Text)
	}
	return done, errors.Join(errs...)
}
