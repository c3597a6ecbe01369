package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/agentapi"
	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// act starts what a decision asks for, unless the node is busy with the last.
func (c *Controller) act(ctx context.Context, d plan.Decision, snap *topology.Snapshot) {
	switch d.Action {
	case plan.Attach:
		if c.leftToPgpool(d.Node) {
			return
		}
		want := detachedIn(snap, d.Node)
		c.one(ctx, d.Node, "attach", func(ctx context.Context) { c.attach(ctx, d, want) })
	case plan.Detach:
		c.one(ctx, d.Node, "detach", func(ctx context.Context) { c.detach(ctx, d) })
	case plan.Fence:
		c.one(ctx, d.Node, "fence", func(ctx context.Context) { c.fence(ctx, d) })
	case plan.Nudge:
		c.one(ctx, d.Node, "nudge", func(ctx context.Context) { c.nudge(ctx, d) })
	case plan.Resync:
		if d.Request != nil {
			c.one(ctx, d.Node, "resync", func(ctx context.Context) { c.resync(ctx, d) })
		}
	}
}

// one runs f for node unless another act on it is under way, and asks for a
// pass when f has ended.
func (c *Controller) one(ctx context.Context, node topology.NodeID, what string, f func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[node] != "" {
		return
	}
	c.busy[node] = what
	c.acts.Go(func() {
		f(ctx)
		c.mu.Lock()
		delete(c.busy, node)
		c.mu.Unlock()
		c.Look(what + " ended")
	})
}

// pcpDeadline bounds one attach or detach request.
const pcpDeadline = 5 * time.Second

// detachedIn lists the pools (by index) that have the node detached.
func detachedIn(snap *topology.Snapshot, node topology.NodeID) []int {
	var out []int
	for i := range snap.Pools {
		if v := snap.Pools[i].Node(node); v != nil && !v.Attached() && !v.Quarantine {
			out = append(out, i)
		}
	}
	return out
}

func (c *Controller) attach(ctx context.Context, d plan.Decision, pools []int) {
	for _, i := range pools {
		p := c.o.Pools[i]
		pctx, cancel := context.WithTimeout(ctx, pcpDeadline)
		err := p.Attach(pctx, d.Node)
		cancel()
		if err != nil {
			c.o.Log.Warn("attach not taken", "node", int(d.Node), "pool", p.Endpoint(), "err", err)
			c.record(ctx, history.Event{Node: d.Node, Kind: "attach", Code: "attach-refused", Text: fmt.Sprintf("attach not taken by %s: %v", p.Endpoint(), err)})
			continue
		}
		c.o.Log.Info("attach asked", "node", int(d.Node), "pool", p.Endpoint())
		c.record(ctx, history.Event{Node: d.Node, Kind: "attach", Code: string(d.Code), Text: "attach asked of " + p.Endpoint() + ": " + d.Reason, Data: asJSON(d.Evidence)})
	}
}

func (c *Controller) detach(ctx context.Context, d plan.Decision) {
	for _, p := range c.o.Pools {
		pctx, cancel := context.WithTimeout(ctx, pcpDeadline)
		err := p.Detach(pctx, d.Node)
		cancel()
		text := "detach asked of " + p.Endpoint() + ": " + d.Reason
		if err != nil {
			text = fmt.Sprintf("detach not taken by %s: %v", p.Endpoint(), err)
			c.o.Log.Warn("detach not taken", "node", int(d.Node), "pool", p.Endpoint(), "err", err)
		}
		c.record(ctx, history.Event{Node: d.Node, Kind: "detach", Code: string(d.Code), Text: text, Data: asJSON(d.Evidence)})
	}
}

// nudge makes Pgpool-II search for the primary again: it searches only after
// an attach or detach of some node (pgpool-II 4.3.5, failover(), seen live).
func (c *Controller) nudge(ctx context.Context, d plan.Decision) {
	c.detach(ctx, d)
	// The detach is queued; an attach queued behind it is executed after it.
	all := make([]int, len(c.o.Pools))
	for i := range all {
		all[i] = i
	}
	c.attach(ctx, d, all)
}

func (c *Controller) fence(ctx context.Context, d plan.Decision) {
	a := c.agent(d.Node)
	if a == nil {
		return
	}
	fctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	token, err := a.Acquire(fctx, c.holder)
	var f topology.Fenced
	if err == nil {
		f, err = a.Fence(fctx, token)
	}
	if err != nil {
		c.o.Log.Error("fence not done", "node", int(d.Node), "err", err)
		c.record(ctx, history.Event{Node: d.Node, Kind: "fence", Code: "fence-failed", Text: "fence not done: " + err.Error()})
		return
	}
	c.o.Log.Info("fenced", "node", int(d.Node), "mode", f.Mode, "took", f.Took)
	c.record(ctx, history.Event{Node: d.Node, Kind: "fence", Code: string(d.Code), Text: fmt.Sprintf("server stopped (%s, %s): %s", f.Mode, f.Took.Round(time.Millisecond), d.Reason), Data: asJSON(f)})
}

// resumeHooks finishes promotions that a killed hook left undone.
func (c *Controller) resumeHooks(ctx context.Context) {
	if c.o.Unfinished == nil || !c.o.Unfinished.Pending() {
		return
	}
	c.one(ctx, topology.NoNode, "hooks", func(ctx context.Context) {
		n, err := c.o.Unfinished.Resume(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			c.o.Log.Warn("unfinished hook", "err", err)
		}
		if n > 0 {
			c.record(ctx, history.Event{Node: topology.NoNode, Kind: "hook", Code: "resumed", Text: fmt.Sprintf("took up %d unfinished failover hook(s)", n)})
		}
	})
}

func (c *Controller) agent(id topology.NodeID) agentapi.Agent {
	for _, n := range c.o.Nodes {
		if n.ID == id {
			return n.Agent
		}
	}
	return nil
}
