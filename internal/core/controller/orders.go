package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// slot is what one act at a time may have of a node. A detach, and the cancel of
// a run, have their own: a node that was attached by hand in the middle of its
// resync must not wait for the end of the run (P1).
type slot struct {
	node   topology.NodeID
	detach bool
}

// order is a decision about to be carried out.
type order struct {
	slot slot
	what string
	// do reports whether the world has changed, so that a pass is due.
	do func(ctx context.Context) (changed bool)
}

// take makes d an order, if it asks for anything and the node is free for it.
// c.mu is held.
func (c *Controller) take(d plan.Decision, snap *topology.Snapshot) (order, bool) {
	o := order{slot: slot{node: d.Node, detach: d.Action == plan.Detach || d.Action == plan.Cancel}, what: string(d.Action)}
	switch d.Action {
	case plan.Attach:
		pools := poolsWhere(snap, func(p *topology.PoolView) bool {
			v := p.Node(d.Node)
			return v != nil && !v.Attached() && !v.Quarantine
		})
		o.do = func(ctx context.Context) bool { return c.attach(ctx, d, pools) }
		return o, len(pools) > 0 && !c.leftToPgpool(d.Node) && c.free(o.slot) && c.free(slot{d.Node, true})
	case plan.Detach:
		pools := poolsWhere(snap, func(p *topology.PoolView) bool {
			v := p.Node(d.Node)
			return v != nil && v.Attached()
		})
		o.do = func(ctx context.Context) bool { return c.detach(ctx, d, pools) }
		other := c.busy[slot{d.Node, false}]
		return o, len(pools) > 0 && c.free(o.slot) && other != string(plan.Attach) && other != string(plan.Nudge)
	case plan.Nudge:
		// Never a Pgpool-II that holds the node for its primary: a detach there
		// would be a failover.
		pools := poolsWhere(snap, func(p *topology.PoolView) bool { return p.Primary != d.Node && p.Node(d.Node) != nil })
		o.do = func(ctx context.Context) bool { return c.nudge(ctx, d, pools) }
		return o, len(pools) > 0 && c.free(o.slot) && c.free(slot{d.Node, true})
	case plan.Fence:
		o.do = func(ctx context.Context) bool { return c.fence(ctx, d) }
		return o, c.agent(d.Node) != nil && c.free(o.slot)
	case plan.Cancel:
		n := snap.Node(d.Node)
		if n == nil || n.Agent.Run == nil {
			return o, false
		}
		run := *n.Agent.Run
		o.do = func(ctx context.Context) bool { return c.cancel(ctx, d, run) }
		return o, c.agent(d.Node) != nil && c.free(o.slot) && c.cancelled[d.Node] != run.ID
	case plan.Resync:
		o.do = func(ctx context.Context) bool { return c.resync(ctx, d) }
		return o, d.Request != nil && c.agent(d.Node) != nil && c.free(o.slot) && !time.Now().Before(c.noStart[d.Node].until)
	}
	return o, false
}

// free says whether nothing holds s. c.mu is held.
func (c *Controller) free(s slot) bool { return c.busy[s] == "" }

// launch carries out an order whose slot is taken, and frees the slot.
func (c *Controller) launch(o order) {
	c.begin(func(ctx context.Context) {
		changed := o.do(ctx)
		c.mu.Lock()
		delete(c.busy, o.slot)
		c.mu.Unlock()
		if changed {
			c.Look(o.what + " ended")
		}
	})
}

// launchIfFree is launch for what no decision asks for.
func (c *Controller) launchIfFree(o order) {
	c.mu.Lock()
	free := c.free(o.slot)
	if free {
		c.busy[o.slot] = o.what
	}
	c.mu.Unlock()
	if free {
		c.launch(o)
	}
}

// poolsWhere lists the answering pools (by index) for which is holds.
func poolsWhere(snap *topology.Snapshot, is func(*topology.PoolView) bool) []int {
	var out []int
	for i := range snap.Pools {
		if p := &snap.Pools[i]; p.OK() && is(p) {
			out = append(out, i)
		}
	}
	return out
}

// hooksAgain is how long after a failure unfinished hooks are tried again.
const hooksAgain = 2 * time.Second

// resumeHooks finishes promotions that a killed hook left undone.
func (c *Controller) resumeHooks() {
	if c.o.Unfinished == nil || !c.o.Unfinished.Pending() {
		return
	}
	c.mu.Lock()
	early := time.Now().Before(c.hooksAt)
	c.mu.Unlock()
	if early {
		return
	}
	c.launchIfFree(order{slot: slot{node: topology.NoNode}, what: "unfinished hooks", do: func(ctx context.Context) bool {
		n, err := c.o.Unfinished.Resume(ctx)
		if ctx.Err() != nil {
			return false
		}
		c.warn("hooks", "unfinished hook", err)
		if n > 0 {
			c.record(event.Event{Node: topology.NoNode, Kind: "hook", Code: "resumed", Text: fmt.Sprintf("took up %d unfinished failover hook(s)", n)})
		}
		if err != nil || n == 0 {
			c.mu.Lock()
			c.hooksAt = time.Now().Add(hooksAgain)
			c.mu.Unlock()
		}
		return n > 0
	}})
}

// warn logs trouble about one thing, and again only when its text changes or
// it has been over meanwhile (err nil): most of it comes back with each pass.
func (c *Controller) warn(about, msg string, err error, attrs ...any) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	was := c.warned[about]
	if text == "" {
		delete(c.warned, about)
	} else {
		c.warned[about] = text
	}
	c.mu.Unlock()
	if text != "" && text != was && !errors.Is(err, context.Canceled) {
		c.o.Log.Warn(msg, append(attrs, "err", err)...)
	}
}
