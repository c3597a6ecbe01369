package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/event"
)

const (
	// accountAfter is how long after the start runs that ended unseen are told of:
	// a counter must have been scraped once (each 15 s, as packaging/prometheus
	// has it) before it counts, or increase() and the alerts would miss the count.
	accountAfter = 20 * time.Second
	// openRuns is how far back a run is looked for that has a beginning in the
	// history and no end, in events about runs.
	openRuns = 500
	// codeEndUnknown is the end of a run that the node no longer knows of.
	codeEndUnknown = "end-unknown"
)

// recallRuns finds the runs of which the history has the beginning and not the
// end: they ended, or will, while this controller was down.
func (c *Controller) recallRuns(ctx context.Context) error {
	events, err := c.o.Store.List(ctx, event.Filter{Kind: "run", Limit: openRuns})
	if err != nil {
		return fmt.Errorf("look for runs without an end: %w", err)
	}
	for _, e := range events {
		switch e.Code {
		case "started":
			c.open[e.Run] = e.Node
		case string(topology.RunDone), string(topology.RunFailed), string(topology.RunCancelled), string(topology.RunInterrupted), codeEndUnknown:
			delete(c.open, e.Run)
		}
	}
	return nil
}

// account asks for the end of runs that nobody here follows: begun by a process
// of this controller that is gone, or lost from sight. Each is recorded, counted
// and traced once: its end in the history is what keeps it from being so again.
func (c *Controller) account(snap *topology.Snapshot) {
	if time.Since(c.started) < accountAfter {
		return
	}
	c.mu.Lock()
	open := maps.Clone(c.open)
	for id := range c.passedBy {
		delete(open, id)
	}
	c.mu.Unlock()
	for id, node := range open {
		n, a := snap.Node(node), c.agent(node)
		if n == nil || !n.Agent.OK() || a == nil {
			continue
		}
		c.launchIfFree(order{slot: slot{node: node}, what: "account for a run", do: func(ctx context.Context) bool {
			c.accountFor(ctx, a, node, id)
			return false
		}})
	}
}

func (c *Controller) accountFor(ctx context.Context, a agentapi.Agent, node topology.NodeID, id string) {
	c.mu.Lock()
	_, open := c.open[id]
	c.mu.Unlock()
	if !open {
		return // it ended before the node was free for this
	}
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	r, err := a.Run(actx, id)
	switch {
	case errors.Is(err, agentapi.ErrNoRun):
		c.closeRun(id)
		c.record(event.Event{Node: node, Kind: "run", Code: codeEndUnknown, Run: id, Text: "the run ended while no controller followed it, and the node no longer knows how"})
	case err == nil && r.Outcome.Ended() && r.ID == id:
		c.runEnded(r, "; no controller followed it to its end")
	default: // it goes on, and is taken over; or it cannot be asked about now
		c.warn("account "+id, "run not accounted for yet", err, "run", id)
		c.passBy(id)
	}
}

// runEnded records the end of a run and tells the audience, once.
func (c *Controller) runEnded(r topology.RunState, how string) {
	c.closeRun(r.ID)
	c.o.Log.Info("run ended", "run", r.ID, "outcome", string(r.Outcome), "code", r.Code, "bytes", r.BytesDone, "err", r.Error)
	c.record(event.Event{Node: r.Node, Kind: "run", Code: string(r.Outcome), Run: r.ID, Text: endText(r) + how, Data: asJSON(r)})
	for _, a := range c.o.Audience {
		a.RunEnded(r)
	}
}

// openRun remembers that the end of a run is to come.
func (c *Controller) openRun(id string, node topology.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[id] = node
}

func (c *Controller) closeRun(id string) {
	c.passBy(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, id)
}
