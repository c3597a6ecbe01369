package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// change applies f to the planner's memory, saves it, and asks for a pass. It
// returns the number of the last pass that was planned without the change.
func (c *Controller) change(ctx context.Context, e event.Event, f func(plan.Memory) plan.Memory) (pass uint64, err error) {
	c.mu.Lock()
	c.mem = f(c.mem)
	delete(c.noStart, e.Node)
	pass = c.pass
	c.mu.Unlock()
	c.o.Log.Info("request", "kind", e.Kind, "node", int(e.Node), "text", e.Text)
	c.record(e)
	c.Look(e.Kind)
	if err := c.save(ctx); err != nil {
		return pass, fmt.Errorf("%s is in force, but would be forgotten when the controller restarts: %w", e.Kind, err)
	}
	return pass, nil
}

// Hold leaves a node, or the whole pool, alone until released.
func (c *Controller) Hold(ctx context.Context, r control.HoldRequest) error {
	if err := c.known(r.Node, true); err != nil {
		return err
	}
	if !r.Until.IsZero() && !time.Now().Before(r.Until) {
		return &control.RefusedError{Code: "bad-request", Msg: fmt.Sprintf("a hold until %s is over already", r.Until.UTC().Format(time.RFC3339)), Hint: "give a time to come, or none: then it holds until released"}
	}
	e := event.Event{Node: r.Node, Kind: "hold", Code: "on-hold", Text: fmt.Sprintf("held by %s: %s", r.Who, r.Why), Data: asJSON(r)}
	_, err := c.change(ctx, e, func(m plan.Memory) plan.Memory {
		return plan.AddHold(m, plan.Hold{Node: r.Node, Who: r.Who, Why: r.Why, Since: time.Now(), Until: r.Until})
	})
	return err
}

// Release ends the hold and the parking of a node. It also lets Pgpool-II be
// nudged again.
func (c *Controller) Release(ctx context.Context, node topology.NodeID, who string) error {
	if err := c.known(node, true); err != nil {
		return err
	}
	e := event.Event{Node: node, Kind: "release", Code: "released", Text: "released by " + who}
	_, err := c.change(ctx, e, func(m plan.Memory) plan.Memory { return plan.Release(m, node) })
	return err
}

// Resync records a person's consent and ends a parking.
func (c *Controller) Resync(ctx context.Context, r control.ResyncRequest) error {
	_, err := c.resyncAsked(ctx, r)
	return err
}

func (c *Controller) resyncAsked(ctx context.Context, r control.ResyncRequest) (pass uint64, err error) {
	if err := c.known(r.Node, false); err != nil {
		return 0, err
	}
	asked := "any"
	if r.Method != "" {
		asked = string(r.Method)
		if r.Method != topology.MethodCustom && !slices.Contains(topology.Methods, r.Method) {
			return 0, &control.RefusedError{Code: "bad-request", Msg: fmt.Sprintf("there is no method %q", r.Method), Hint: "repool plan names the methods"}
		}
	}
	e := event.Event{Node: r.Node, Kind: "release", Code: "resync-asked", Text: fmt.Sprintf("resync (%s) asked for by %s", asked, r.Who)}
	return c.change(ctx, e, func(m plan.Memory) plan.Memory { return plan.Consent(m, r.Node, r.Method) })
}

// checkpointDeadline bounds a checkpoint, which writes all of a server's memory.
const checkpointDeadline = 10 * time.Minute

// Checkpoint runs one on a node in the background: the caller, a hook, cannot
// wait for it. One that is asked for while another runs is run after it, since
// what made it necessary may have happened after the other began.
func (c *Controller) Checkpoint(_ context.Context, node topology.NodeID) error {
	if err := c.known(node, false); err != nil {
		return err
	}
	if c.o.Checkpoint == nil {
		return errors.New("this controller cannot run a checkpoint")
	}
	c.mu.Lock()
	_, running := c.checkpoints[node]
	c.checkpoints[node] = running
	c.mu.Unlock()
	if running {
		return nil
	}
	if !c.begin(func(ctx context.Context) { c.checkpoint(ctx, node) }) {
		return errors.New("the controller is stopping")
	}
	return nil
}

func (c *Controller) checkpoint(ctx context.Context, node topology.NodeID) {
	for {
		cctx, cancel := context.WithTimeout(ctx, checkpointDeadline)
		err := c.o.Checkpoint(cctx, node)
		cancel()
		c.warn("checkpoint "+node.String(), "checkpoint", err, "node", int(node))
		c.mu.Lock()
		again := c.checkpoints[node] && ctx.Err() == nil
		if again {
			c.checkpoints[node] = false
		} else {
			delete(c.checkpoints, node)
		}
		c.mu.Unlock()
		if !again {
			return
		}
	}
}

func (c *Controller) known(id topology.NodeID, orPool bool) error {
	if orPool && id == topology.NoNode {
		return nil
	}
	if _, known := c.o.Agents[id]; known {
		return nil
	}
	return &control.RefusedError{Code: "no-such-node", Msg: fmt.Sprintf("there is no node %d in pgpool.conf", id), Hint: "repool status lists the nodes"}
}
