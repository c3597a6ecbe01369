package controller

import (
	"context"
	"errors"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/event"
)

// A clearance that an agent could not be told is tried again, each time with a
// new look: the run waits half a minute for it.
const (
	clearTries = 3
	clearPause = 500 * time.Millisecond
)

// clear is P2's second key: look anew at everything, and let the run pass its
// destructive step only if the primary is still the one it was started for and
// Pgpool-II agrees. Otherwise the run is cancelled, which leaves the node as it
// was.
func (c *Controller) clear(ctx context.Context, a agentapi.Agent, s topology.RunState, token topology.Token, req *topology.RunRequest) {
	for try := 1; ; try++ {
		err := c.clearOnce(ctx, a, s, token, req)
		if err == nil || ctx.Err() != nil {
			return
		}
		c.o.Log.Warn("clearance not taken", "run", s.ID, "step", s.Step(), "err", err)
		if try == clearTries || final(err) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(clearPause):
		}
	}
}

// final says that the agent has understood, so that asking again is no use.
func final(err error) bool {
	for _, kind := range []error{agentapi.ErrStaleToken, agentapi.ErrNoRun, agentapi.ErrRefused, agentapi.ErrLocked} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// clearOnce looks, and clears or cancels.
func (c *Controller) clearOnce(ctx context.Context, a agentapi.Agent, s topology.RunState, token topology.Token, req *topology.RunRequest) error {
	ctx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	snap := c.o.Observer.ObserveAnew(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	mem := c.mem
	c.mu.Unlock()
	if _, why := mayAct(&snap); why != "" {
		return c.withhold(ctx, a, s, token, errors.New(why))
	}
	if err := plan.Confirm(mem, snap, c.o.Policy, time.Now(), s, req); err != nil {
		return c.withhold(ctx, a, s, token, err)
	}
	return a.Clear(ctx, token, s.ID, s.Step())
}

func (c *Controller) withhold(ctx context.Context, a agentapi.Agent, s topology.RunState, token topology.Token, why error) error {
	c.o.Log.Warn("clearance withheld", "run", s.ID, "step", s.Step(), "err", why)
	c.record(event.Event{Node: s.Node, Kind: "run", Code: "no-clearance", Run: s.ID, Text: "clearance withheld for " + s.Step() + ": " + why.Error()})
	return a.Cancel(ctx, token, s.ID)
}

// cancel ends a run whose upstream is the primary no more. It takes effect at
// the run's next safe point; asked for once a run.
func (c *Controller) cancel(ctx context.Context, d plan.Decision, run topology.RunState) bool {
	ctx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	a := c.agent(d.Node)
	c.mu.Lock()
	token := c.tokens[run.ID]
	c.mu.Unlock()
	var err error
	if token == 0 { // nobody here follows it, so there is nobody's token to end
		token, err = a.Acquire(ctx, c.holder)
	}
	if err == nil {
		err = a.Cancel(ctx, token, run.ID)
	}
	c.warn("cancel "+run.ID, "run not cancelled", err, "node", int(d.Node), "run", run.ID)
	if err != nil && !final(err) {
		return false
	}
	c.mu.Lock()
	c.cancelled[d.Node] = run.ID
	c.mu.Unlock()
	if err == nil {
		c.record(event.Event{Node: d.Node, Kind: "run", Code: "cancel-asked", Run: run.ID, Text: d.Reason})
	}
	return false
}
