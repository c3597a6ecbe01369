package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// change applies f to the planner's memory, saves it, and asks for a pass.
func (c *Controller) change(ctx context.Context, e history.Event, f func(*plan.Memory)) error {
	c.mu.Lock()
	mem := c.mem
	mem.Nodes, mem.Holds = slices.Clone(mem.Nodes), slices.Clone(mem.Holds)
	f(&mem)
	c.mem = mem
	c.mu.Unlock()
	if err := c.o.Store.Keep(ctx, memoryName, mem); err != nil {
		return err
	}
	c.record(ctx, e)
	c.Look(e.Kind)
	return nil
}

// Hold leaves a node, or the whole pool, alone until released.
func (c *Controller) Hold(ctx context.Context, r control.HoldRequest) error {
	if err := c.known(r.Node, true); err != nil {
		return err
	}
	e := history.Event{Node: r.Node, Kind: "hold", Code: "on-hold", Text: fmt.Sprintf("held by %s: %s", r.Who, r.Why)}
	return c.change(ctx, e, func(m *plan.Memory) {
		m.Holds = slices.DeleteFunc(m.Holds, func(h plan.Hold) bool { return h.Node == r.Node })
		m.Holds = append(m.Holds, plan.Hold{Node: r.Node, Who: r.Who, Why: r.Why, Since: time.Now(), Until: r.Until})
	})
}

// Release ends the hold and the parking of a node.
func (c *Controller) Release(ctx context.Context, node topology.NodeID, who string) error {
	if err := c.known(node, true); err != nil {
		return err
	}
	e := history.Event{Node: node, Kind: "release", Code: "released", Text: "released by " + who}
	return c.change(ctx, e, func(m *plan.Memory) {
		m.Holds = slices.DeleteFunc(m.Holds, func(h plan.Hold) bool { return h.Node == node })
		for i := range m.Nodes {
			if m.Nodes[i].Node == node {
				unpark(&m.Nodes[i])
			}
		}
	})
}

// Resync records a person's consent and ends a parking.
func (c *Controller) Resync(ctx context.Context, r control.ResyncRequest) error {
	if err := c.known(r.Node, false); err != nil {
		return err
	}
	asked := "any"
	if r.Method != "" {
		asked = string(r.Method)
	}
	e := history.Event{Node: r.Node, Kind: "release", Code: "resync-asked", Text: fmt.Sprintf("resync (%s) asked for by %s", asked, r.Who)}
	return c.change(ctx, e, func(m *plan.Memory) {
		for i := range m.Nodes {
			if m.Nodes[i].Node == r.Node {
				unpark(&m.Nodes[i])
				m.Nodes[i].Asked = asked
				return
			}
		}
		m.Nodes = append(m.Nodes, plan.NodeMemory{Node: r.Node, Asked: asked})
	})
}

func unpark(n *plan.NodeMemory) {
	n.Parked, n.ParkedWhy, n.ParkedAt = "", "", time.Time{}
	n.Attempts, n.LastFailure, n.Attaches = 0, time.Time{}, 0
}

// Checkpoint runs one on a node in the background: the caller, a hook, cannot
// wait for it.
func (c *Controller) Checkpoint(ctx context.Context, node topology.NodeID) error {
	if c.o.Checkpoint == nil {
		return fmt.Errorf("this controller cannot run a checkpoint")
	}
	bg := context.WithoutCancel(ctx)
	c.acts.Go(func() {
		if err := c.o.Checkpoint(bg, node); err != nil {
			c.o.Log.Warn("checkpoint", "node", int(node), "err", err)
		}
	})
	return nil
}

// History reads events.
func (c *Controller) History(ctx context.Context, f history.Filter) ([]history.Event, error) {
	return c.o.Store.List(ctx, f)
}

func (c *Controller) known(id topology.NodeID, orPool bool) error {
	if orPool && id == topology.NoNode {
		return nil
	}
	for _, n := range c.o.Nodes {
		if n.ID == id {
			return nil
		}
	}
	return &control.RefusedError{Code: "no-such-node", Msg: fmt.Sprintf("there is no node %d in pgpool.conf", id), Hint: "repool status lists the nodes"}
}
