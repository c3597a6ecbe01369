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

// A clearance that could not be delivered is tried again, each time after a new
// look: the run waits half a minute for it.
const (
	clearTries = 3
	clearPause = 500 * time.Millisecond
)

// clear is P2's second key: look again at everything, and let the run pass its
// destructive step only if the primary is still the one it was started for and
// Pgpool-II agrees. Otherwise the run is cancelled, which leaves the node as it
// was.
func (x *executor) clear(ctx context.Context, l led, s topology.RunState) {
	for try := 1; ; try++ {
		err := x.clearOnce(ctx, l, s)
		if err == nil || ctx.Err() != nil {
			return
		}
		x.o.Log.Warn("clearance not delivered", "run", s.ID, "step", s.Step(), "err", err)
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

// final says that the agent has understood, so that asking again is useless.
func final(err error) bool {
	for _, kind := range []error{agentapi.ErrStaleToken, agentapi.ErrNoRun, agentapi.ErrRefused, agentapi.ErrLocked} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// clearOnce looks, and clears or cancels.
func (x *executor) clearOnce(ctx context.Context, l led, s topology.RunState) error {
	ctx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	snap := x.o.Observer.ObserveFresh(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, why := mayAct(&snap); why != "" {
		return x.withhold(ctx, l, s, errors.New(why))
	}
	if err := plan.Confirm(x.memory.read(), snap, x.o.Policy, time.Now(), s, l.req); err != nil {
		return x.withhold(ctx, l, s, err)
	}
	return l.agent.Clear(ctx, l.token, s.ID, s.Step())
}

func (x *executor) withhold(ctx context.Context, l led, s topology.RunState, why error) error {
	x.o.Log.Warn("clearance withheld", "run", s.ID, "step", s.Step(), "err", why)
	x.rec.record(event.Event{Node: s.Node, Kind: "run", Code: "no-clearance", Run: s.ID,
		Text: "clearance withheld for " + s.Step() + ": " + why.Error()})
	return l.agent.Cancel(ctx, l.token, s.ID)
}
