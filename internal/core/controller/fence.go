package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

const (
	// fenceDeadline bounds the wait for a fence; the agent goes on without us.
	fenceDeadline = time.Minute
	// orderAge is how old an order may be when its node's lock is obtained: later,
	// the world in which it was decided is gone, and the next pass decides.
	orderAge = 2 * time.Second
)

// fence stops a second primary.
func (x *executor) fence(ctx context.Context, d plan.Decision) (changed bool) {
	a := x.o.Agents[d.Node]
	begun := time.Now()
	fctx, cancel := context.WithTimeout(ctx, fenceDeadline)
	defer cancel()
	token, err := a.Acquire(fctx, x.holder)
	if err == nil && time.Since(begun) > orderAge {
		return true
	}
	var f topology.Fenced
	if err == nil {
		f, err = a.Fence(fctx, token)
	}
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		x.o.Log.Error("fence failed", "node", int(d.Node), "err", err)
		x.rec.record(event.Event{Node: d.Node, Kind: "fence", Code: "fence-failed", Text: "fence failed: " + err.Error()})
		return false
	}
	text := "server was already stopped: "
	if f.WasRunning {
		text = fmt.Sprintf("server stopped (%s, %s): ", f.Mode, f.Took.Round(time.Millisecond))
	}
	x.o.Log.Info("fenced", "node", int(d.Node), "mode", f.Mode, "took", f.Took)
	x.rec.record(event.Event{Node: d.Node, Kind: "fence", Code: string(d.Code), Text: text + d.Reason, Data: asJSON(f)})
	return true
}
