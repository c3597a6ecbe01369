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
	// pcpDeadline bounds one attach or detach request.
	pcpDeadline = 5 * time.Second
	// fenceDeadline bounds the wait for a fence; the agent goes on without us.
	fenceDeadline = time.Minute
	// orderAge is how old an order may be when its node is at last free for it:
	// the world it was decided in has passed by then, and the next pass decides.
	orderAge = 2 * time.Second
)

// attach asks these pools to route to the node.
func (c *Controller) attach(ctx context.Context, d plan.Decision, pools []int) bool {
	for _, i := range pools {
		c.askPool(ctx, c.o.Pools[i], d, "attach")
	}
	return true
}

// detach asks these pools to route to the node no more.
func (c *Controller) detach(ctx context.Context, d plan.Decision, pools []int) bool {
	for _, i := range pools {
		c.askPool(ctx, c.o.Pools[i], d, "detach")
	}
	return true
}

// nudge makes Pgpool-II search for the primary again: it searches only after
// an attach or detach of some node (pgpool-II 4.3.5, failover(), seen live).
// The detach is queued, and an attach queued behind it is executed after it. A
// primary must not stay detached because we are told to stop in between.
func (c *Controller) nudge(ctx context.Context, d plan.Decision, pools []int) bool {
	for _, i := range pools {
		c.askPool(ctx, c.o.Pools[i], d, "detach")
		for range 3 {
			if c.askPool(context.WithoutCancel(ctx), c.o.Pools[i], d, "attach") {
				break
			}
		}
	}
	return true
}

// askPool makes one request of one Pgpool-II and records it.
func (c *Controller) askPool(ctx context.Context, p Pool, d plan.Decision, what string) (taken bool) {
	ctx, cancel := context.WithTimeout(ctx, pcpDeadline)
	defer cancel()
	ask := p.Attach
	if what == "detach" {
		ask = p.Detach
	}
	if err := ask(ctx, d.Node); err != nil {
		c.o.Log.Warn(what+" not taken", "node", int(d.Node), "pool", p.Endpoint(), "err", err)
		c.record(event.Event{Node: d.Node, Kind: what, Code: what + "-refused", Text: fmt.Sprintf("%s not taken by %s: %v", what, p.Endpoint(), err)})
		return false
	}
	c.o.Log.Info(what+" asked", "node", int(d.Node), "pool", p.Endpoint(), "code", string(d.Code))
	c.record(event.Event{Node: d.Node, Kind: what, Code: string(d.Code), Text: what + " asked of " + p.Endpoint() + ": " + d.Reason, Data: asJSON(d.Evidence)})
	return true
}

// fence stops a second primary.
func (c *Controller) fence(ctx context.Context, d plan.Decision) bool {
	a := c.agent(d.Node)
	begun := time.Now()
	fctx, cancel := context.WithTimeout(ctx, fenceDeadline)
	defer cancel()
	token, err := a.Acquire(fctx, c.holder)
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
		c.o.Log.Error("fence not done", "node", int(d.Node), "err", err)
		c.record(event.Event{Node: d.Node, Kind: "fence", Code: "fence-failed", Text: "fence not done: " + err.Error()})
		return false
	}
	text := "its server was stopped already: "
	if f.WasRunning {
		text = fmt.Sprintf("server stopped (%s, %s): ", f.Mode, f.Took.Round(time.Millisecond))
	}
	c.o.Log.Info("fenced", "node", int(d.Node), "mode", f.Mode, "took", f.Took)
	c.record(event.Event{Node: d.Node, Kind: "fence", Code: string(d.Code), Text: text + d.Reason, Data: asJSON(f)})
	return true
}
