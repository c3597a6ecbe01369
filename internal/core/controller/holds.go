package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// Copy keeps one value a second time, apart from the Store and its damage.
type Copy interface {
	// Save replaces the value; on return it survives a power cut.
	Save(value any) error
	// Load reads it; found is false where none was ever saved. event.ErrGarbled
	// when there is something else in its place.
	Load(value any) (found bool, err error)
}

// recall loads the planner's memory, and the holds from their second copy too.
func (c *Controller) recall(ctx context.Context) error {
	mem := plan.Memory{Primary: topology.NoNode}
	found, err := c.o.Store.Kept(ctx, memoryName, &mem)
	if errors.Is(err, event.ErrGarbled) {
		if err := c.o.Store.SetAside(ctx, err, memoryName); err != nil {
			return err
		}
		mem = plan.Memory{Primary: topology.NoNode}
		found, err = c.o.Store.Kept(ctx, memoryName, &mem)
	}
	if err != nil {
		return fmt.Errorf("load the planner's memory: %w", err)
	}
	c.mem = mem
	c.keeper.saved = mem.Durable()
	if c.o.Holds != nil {
		c.recallHolds(found)
	}
	return nil
}

// recallHolds joins the holds of the memory with those of the second copy: what
// either has, holds, since a hold too many costs a word and one too few a node.
// Where neither can be read and there may have been holds, the whole pool is
// held until a person has looked. known: the memory was found in the store.
func (c *Controller) recallHolds(known bool) {
	var second []plan.Hold
	there, err := c.o.Holds.Load(&second)
	lost := !known && len(c.o.Store.Asides()) > 0
	switch {
	case there:
		for _, h := range second {
			if c.mem.HasHold(h.Node) {
				continue
			}
			c.mem = plan.AddHold(c.mem, h)
			c.tell(event.Event{Node: h.Node, Kind: "hold", Code: "on-hold", Data: asJSON(h),
				Text: fmt.Sprintf("held by %s since %s: %s; the history had lost it, its second copy has not", h.Who, h.Since.UTC().Format(time.RFC3339), h.Why)})
		}
	case known && err != nil:
		c.tell(event.Event{Node: topology.NoNode, Kind: "controller", Code: event.CodeHoldsDamaged,
			Text: fmt.Sprintf("the second copy of the holds was damaged and is written anew from the history: %v", err)})
	case lost || err != nil:
		h := plan.Hold{Node: topology.NoNode, Who: "repool", Since: time.Now(),
			Why: "which nodes were on hold cannot be read; see that none must be left alone, then: repool release all"}
		c.mem = plan.AddHold(c.mem, h)
		c.tell(event.Event{Node: topology.NoNode, Kind: "hold", Code: event.CodeHoldsUnknown, Data: asJSON(h),
			Text: fmt.Sprintf("the history is lost and so is the second copy of the holds (%v): the whole pool is on hold until a person says repool release all", orMissing(err))})
	}
}

func orMissing(err error) error {
	if err == nil {
		return errors.New("there is none")
	}
	return err
}

// tell logs what was found at the start, and has it recorded when the controller
// runs.
func (c *Controller) tell(e event.Event) {
	c.o.Log.Error("holds", "code", e.Code, "node", int(e.Node), "text", e.Text)
	c.found = append(c.found, e)
}

// copyHolds writes the second copy where it is not of these holds. c.keeper.mu
// is held.
func (c *Controller) copyHolds(holds []plan.Hold) error {
	if c.o.Holds == nil {
		return nil
	}
	b, err := json.Marshal(holds)
	if err != nil || string(b) == c.keeper.copied {
		return err
	}
	if err := c.o.Holds.Save(holds); err != nil {
		return err
	}
	c.keeper.copied = string(b)
	return nil
}
