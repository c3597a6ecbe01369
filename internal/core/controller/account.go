package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/event"
)

const (
	// accountAfter is how long after the start runs that ended unseen are reported:
	// a counter must have been scraped once (every 15 s in packaging/prometheus)
	// before it counts, or increase() and the alerts would miss the count.
	accountAfter = 20 * time.Second
	// openRuns is how far back a run is looked for that has a beginning in the
	// history and no end, in events about runs.
	openRuns = 500
	// codeEndUnknown is the end of a run that the node no longer knows of.
	codeEndUnknown = "end-unknown"
)

// recallRuns finds the runs of which the history has the beginning and not the
// end: they ended, or will, while this controller was down.
func (x *executor) recallRuns(ctx context.Context) error {
	events, err := x.o.Store.List(ctx, event.Filter{Kind: "run", Limit: openRuns})
	if err != nil {
		return fmt.Errorf("look for runs without an end: %w", err)
	}
	open := x.ledger.runs.open // nobody else is there yet
	for _, e := range events {
		switch e.Code {
		case "started":
			open[e.Run] = e.Node
		case codeEndUnknown, string(topology.RunDone), string(topology.RunFailed), string(topology.RunCancelled),
			string(topology.RunInterrupted):
			delete(open, e.Run)
		}
	}
	return nil
}

// accountForRuns asks for the end of runs that nobody here follows: started by an
// earlier process of this controller, or out of contact. Each is recorded, counted
// and traced once: its end in the history is what keeps it from being so again.
func (x *executor) accountForRuns(snap *topology.Snapshot, started time.Time) {
	if time.Since(started) < accountAfter {
		return
	}
	for id, node := range x.ledger.unaccounted() {
		n, a := snap.Node(node), x.o.Agents[node]
		if n == nil || !n.Agent.OK() || a == nil {
			continue
		}
		x.launchIfFree(order{node: node, what: accountForRun, do: func(ctx context.Context) bool {
			x.accountFor(ctx, a, node, id)
			return false
		}})
	}
}

func (x *executor) accountFor(ctx context.Context, a agentapi.Agent, node topology.NodeID, id string) {
	if !x.ledger.isOpen(id) {
		return // it ended before the node was free for this
	}
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	r, err := a.Run(actx, id)
	switch {
	case errors.Is(err, agentapi.ErrNoRun):
		x.ledger.runEnded(id)
		x.rec.record(event.Event{Node: node, Kind: "run", Code: codeEndUnknown, Run: id,
			Text: "the run ended while no controller was following it, and the node has no record of how"})
	case err == nil && r.Outcome.Ended() && r.ID == id:
		x.runEnded(r, "; no controller was following it at its end")
	default: // it goes on, and is taken over; or it cannot be asked about now
		x.rec.warn("account "+id, "run not accounted for yet", err, "run", id)
		x.ledger.passBy(id)
	}
}
