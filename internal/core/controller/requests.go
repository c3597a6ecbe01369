package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// change applies f to the planner's memory, saves it, and asks for a pass. It
// returns the number of the last pass that was planned without the change.
func (c *Controller) change(ctx context.Context, e event.Event, f func(plan.Memory) plan.Memory) (uint64, error) {
	pass := c.memory.change(f)
	c.ledger.mayStart(e.Node)
	c.o.Log.Info("request", "kind", e.Kind, "node", int(e.Node), "text", e.Text)
	c.rec.record(e)
	c.Look(e.Kind)
	if err := c.rec.save(ctx); err != nil {
		return pass, fmt.Errorf("%s is in force, but would be forgotten when the controller restarts: %w", e.Kind, err)
	}
	return pass, nil
}

// Hold leaves a node, or the whole pool, alone until released. The agents keep it, so
// it does not matter which controller is asked; *NotKeptError: only this one knows of it.
func (c *Controller) Hold(ctx context.Context, r control.HoldRequest) error {
	if err := c.known(r.Node, true); err != nil {
		return err
	}
	if !r.Until.IsZero() && !time.Now().Before(r.Until) {
		return &control.RefusedError{Code: codes.BadRequest,
			Hint: "give a time in the future, or none to hold until released",
			Msg:  "the end of the hold, " + r.Until.UTC().Format(time.RFC3339) + ", has passed"}
	}
	e := event.Event{Node: r.Node, Kind: "hold", Code: "on-hold", Text: fmt.Sprintf("held by %s: %s", r.Who, r.Why),
		Data: asJSON(r)}
	i := topology.Instruction{Word: topology.WordHold, Who: r.Who, Why: r.Why, At: time.Now(), Until: r.Until}
	if r.Node == topology.NoNode {
		return c.instructPool(ctx, i, e, "the hold of the pool")
	}
	h := plan.Hold{Node: r.Node, Who: r.Who, Why: r.Why, Since: i.At, Until: r.Until}
	_, err := c.instructNode(ctx, r.Node, i, e, fmt.Sprintf("the hold of node %d", r.Node),
		func(m plan.Memory) plan.Memory { return plan.AddHold(m, h) })
	return err
}

// Release ends the hold and the parking of a node. It also lets Pgpool-II be
// nudged again.
func (c *Controller) Release(ctx context.Context, node topology.NodeID, who string) error {
	if err := c.known(node, true); err != nil {
		return err
	}
	e := event.Event{Node: node, Kind: "release", Code: "released", Text: "released by " + who}
	i := topology.Instruction{Word: topology.WordRelease, Who: who, At: time.Now()}
	if node == topology.NoNode {
		return c.instructPool(ctx, i, e, "the release of the pool")
	}
	return c.release(ctx, node, i, e, func(m plan.Memory) plan.Memory { return plan.Release(m, node) })
}

// release ends the hold of a node. One that the node keeps is ended there or not at all:
// this controller would hear of it again.
func (c *Controller) release(ctx context.Context, node topology.NodeID, i topology.Instruction, e event.Event,
	local func(plan.Memory) plan.Memory,
) error {
	if h := c.memory.read().HoldOf(node); h != nil && h.Kept {
		local = nil
	}
	_, err := c.instructNode(ctx, node, i, e, fmt.Sprintf("the release of node %d", node), local)
	return err
}

// Resync records a person's consent and ends a parking.
func (c *Controller) Resync(ctx context.Context, r control.ResyncRequest) error {
	_, err := c.consent(ctx, r)
	return err
}

func (c *Controller) consent(ctx context.Context, r control.ResyncRequest) (pass uint64, err error) {
	if err := c.known(r.Node, false); err != nil {
		return 0, err
	}
	method := "any"
	if r.Method != "" {
		method = string(r.Method)
		if r.Method != topology.MethodCustom && !slices.Contains(topology.Methods, r.Method) {
			return 0, &control.RefusedError{Code: codes.BadRequest, Hint: "repool plan names the methods",
				Msg: fmt.Sprintf("there is no method %q", r.Method)}
		}
	}
	e := event.Event{Node: r.Node, Kind: "release", Code: "resync-asked",
		Text: fmt.Sprintf("resync (%s) requested by %s", method, r.Who)}
	local := func(m plan.Memory) plan.Memory { return plan.Consent(m, r.Node, r.Method) }
	if r.Method == topology.MethodAttach {
		return c.change(ctx, e, local) // no run would use it up on the node
	}
	i := topology.Instruction{Word: topology.WordResync, Who: r.Who, At: time.Now(), Method: r.Method}
	return c.instructNode(ctx, r.Node, i, e, fmt.Sprintf("the consent to a resync of node %d", r.Node), local)
}

// Checkpoint runs one on a node, in the background.
func (c *Controller) Checkpoint(_ context.Context, node topology.NodeID) error {
	if err := c.known(node, false); err != nil {
		return err
	}
	return c.exec.checkpoint(node)
}

func (c *Controller) known(id topology.NodeID, orPool bool) error {
	if _, known := c.o.Agents[id]; known || orPool && id == topology.NoNode {
		return nil
	}
	return &control.RefusedError{Code: codes.NoSuchNode, Hint: "repool status lists the nodes",
		Msg: fmt.Sprintf("there is no node %d in pgpool.conf", id)}
}
