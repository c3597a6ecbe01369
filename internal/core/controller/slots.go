package controller

import (
	"context"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/show/event"
)

// dropSlots has a standby's agent drop idle slots. The agent looks once more whether
// they are idle and the server is a standby; what it leaves, a later pass sees.
func (x *executor) dropSlots(ctx context.Context, d plan.Decision) (changed bool) {
	a := x.o.Agents[d.Node]
	begun := time.Now()
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	token, err := a.Acquire(actx, x.holder)
	if err == nil && time.Since(begun) > orderAge {
		return true
	}
	var dropped []string
	if err == nil {
		dropped, err = a.DropSlots(actx, token, d.Slots)
	}
	if ctx.Err() != nil {
		return false
	}
	x.rec.warn("slots of node "+d.Node.String(), "idle slots not dropped", err, "node", int(d.Node))
	if len(dropped) > 0 {
		text := strings.Join(dropped, ", ") + " dropped: nobody used it on a standby"
		if len(dropped) > 1 {
			text = strings.Join(dropped, ", ") + " dropped: nobody used them on a standby"
		}
		x.o.Log.Info("dropped idle replication slots", "node", int(d.Node), "slots", strings.Join(dropped, ", "))
		x.rec.record(event.Event{Node: d.Node, Kind: "slots", Code: "slots-dropped", Text: text, Data: asJSON(dropped)})
	}
	return len(dropped) > 0
}
