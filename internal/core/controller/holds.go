package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// Copy keeps one value a second time, apart from the Store and its damage.
type Copy interface {
	// Save replaces the value; on return it survives a power failure.
	Save(value any) error
	// Load reads it; found is false where none was ever saved. event.ErrGarbled
	// when there is something else in its place.
	Load(value any) (found bool, err error)
}

// load reads the planner's memory, and the holds from their second copy too. It is
// called before anything else runs.
func (r *recorder) load(ctx context.Context) error {
	mem := plan.Memory{Primary: topology.NoNode}
	found, err := r.o.Store.Kept(ctx, memoryName, &mem)
	if errors.Is(err, event.ErrGarbled) {
		if err := r.o.Store.SetAside(ctx, err, memoryName); err != nil {
			return err
		}
		mem = plan.Memory{Primary: topology.NoNode}
		found, err = r.o.Store.Kept(ctx, memoryName, &mem)
	}
	if err != nil {
		return fmt.Errorf("load the planner's memory: %w", err)
	}
	r.saved = mem.Durable()
	if r.o.Holds != nil {
		mem = r.joinHolds(mem, found)
	}
	r.memory.mem = mem
	return nil
}

// joinHolds joins the holds of the memory with those of the second copy: a hold in
// either counts, since a hold too many costs a word and one too few a node. Where
// neither can be read and there may have been holds, the whole pool is put on hold
// until a person has looked. known: the memory was found in the store.
func (r *recorder) joinHolds(mem plan.Memory, known bool) plan.Memory {
	var second []plan.Hold
	there, err := r.o.Holds.Load(&second)
	lost := !known && len(r.o.Store.Asides()) > 0
	switch {
	case there:
		for _, h := range second {
			if mem.HasHold(h.Node) {
				continue
			}
			mem = plan.AddHold(mem, h)
			r.report(event.Event{Node: h.Node, Kind: "hold", Code: "on-hold", Data: asJSON(h),
				Text: fmt.Sprintf("held by %s since %s: %s; the history had lost this hold, its second copy had not",
					h.Who, h.Since.UTC().Format(time.RFC3339), h.Why)})
		}
	case known && err != nil:
		r.report(event.Event{Node: topology.NoNode, Kind: "controller", Code: string(codes.HoldsCopyDamaged),
			Text: fmt.Sprintf("the second copy of the holds was damaged and is rewritten from the history: %v", err)})
	case lost || err != nil:
		if err == nil {
			err = errors.New("there is none")
		}
		h := plan.Hold{Node: topology.NoNode, Who: "repool", Since: time.Now(),
			Why: "which nodes were on hold cannot be read; make sure that none must be left alone, then: repool release all"}
		mem = plan.AddHold(mem, h)
		r.report(event.Event{Node: topology.NoNode, Kind: "hold", Code: string(codes.HoldsUnknown), Data: asJSON(h),
			Text: fmt.Sprintf("the history is lost and so is the second copy of the holds (%v): "+
				"the whole pool is on hold until a person runs repool release all", err)})
	}
	return mem
}

// report logs what was found at the start, and has it recorded when the controller
// runs.
func (r *recorder) report(e event.Event) {
	r.o.Log.Error("holds", "code", e.Code, "node", int(e.Node), "text", e.Text)
	r.found = append(r.found, e)
}

// copyHolds writes the second copy where it differs from these holds. r.saving is
// held.
func (r *recorder) copyHolds(holds []plan.Hold) error {
	if r.o.Holds == nil {
		return nil
	}
	b, err := json.Marshal(holds)
	if err != nil || string(b) == r.copied {
		return err
	}
	if err := r.o.Holds.Save(holds); err != nil {
		return err
	}
	r.copied = string(b)
	return nil
}
