package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/event"
)

// agentDeadline bounds the short calls to an agent.
const agentDeadline = 10 * time.Second

// noStart is how often in a row a run could not even be started on a node, and
// until when it is not tried again. The planner counts only runs that began.
type noStart struct {
	times int
	until time.Time
	text  string
}

// resync starts a run on the node's agent and follows it to its end. The run
// is the agent's: if this controller dies, it goes on, up to the next step
// that needs clearance.
func (c *Controller) resync(ctx context.Context, d plan.Decision) bool {
	a := c.agent(d.Node)
	begun := time.Now()
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	token, err := a.Acquire(actx, c.holder)
	if err == nil && time.Since(begun) > orderAge {
		return true
	}
	req := *d.Request
	req.Token = token
	req.ID = fmt.Sprintf("%s-n%d-%s-%d", time.Now().UTC().Format("20060102T150405.000"), d.Node, d.Method, token)
	if err == nil {
		err = a.StartRun(actx, req)
	}
	if err != nil {
		c.runNotStarted(ctx, d, err)
		return false
	}
	c.mu.Lock()
	delete(c.noStart, d.Node)
	c.mu.Unlock()
	c.openRun(req.ID, d.Node)
	c.o.Log.Info("run started", "run", req.ID, "node", int(d.Node), "method", string(d.Method), "code", string(d.Code))
	c.record(event.Event{Node: d.Node, Kind: "run", Code: "started", Run: req.ID,
		Text: fmt.Sprintf("%s from node %d started: %s", d.Method, req.Upstream.Node, d.Reason), Data: asJSON(d)})
	c.Look("run started")
	c.lead(ctx, a, req.ID, token, &req)
	return true
}

func (c *Controller) runNotStarted(ctx context.Context, d plan.Decision, err error) {
	if ctx.Err() != nil {
		return // it is we who stop
	}
	c.mu.Lock()
	n := c.noStart[d.Node]
	again := n.text == err.Error()
	n.times, n.text = n.times+1, err.Error()
	n.until = time.Now().Add(min(time.Minute, time.Second<<min(n.times, 6)))
	c.noStart[d.Node] = n
	c.mu.Unlock()
	if again {
		return
	}
	c.o.Log.Warn("run not started", "node", int(d.Node), "method", string(d.Method), "err", err)
	c.record(event.Event{Node: d.Node, Kind: "run", Code: "not-started", Text: fmt.Sprintf("%s not started: %v", d.Method, err)})
}

// passByFor is how long a run is not taken up: one of another controller, since
// asking again at once is of no use, and one that has just ended, since facts
// asked for before its end may still come in.
const passByFor = 5 * time.Second

// adopt follows runs that an earlier controller started and that still go on.
func (c *Controller) adopt(snap *topology.Snapshot) {
	now := time.Now()
	c.mu.Lock()
	maps.DeleteFunc(c.passedBy, func(_ string, until time.Time) bool { return now.After(until) })
	passedBy := maps.Clone(c.passedBy)
	c.mu.Unlock()
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		r := n.Agent.Run
		a := c.agent(n.ID)
		if !n.Agent.OK() || r == nil || r.Outcome.Ended() || a == nil {
			continue
		}
		if _, pass := passedBy[r.ID]; pass {
			continue
		}
		run := *r
		c.launchIfFree(order{slot: slot{node: n.ID}, what: "follow a run", do: func(ctx context.Context) bool {
			return c.takeOver(ctx, a, run)
		}})
	}
}

// takeOver asks for the token of a run under way and follows it. A run that
// another controller holds is only watched: whether that one is still alive
// cannot be known from here, and without its clearance the run ends by itself.
func (c *Controller) takeOver(ctx context.Context, a agentapi.Agent, run topology.RunState) bool {
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	token, err := a.Acquire(actx, c.holder)
	cancel()
	if err == nil {
		c.o.Log.Info("run taken over", "run", run.ID, "node", int(run.Node), "step", run.Step())
		return c.lead(ctx, a, run.ID, token, nil)
	}
	c.warn("run "+run.ID, "run of another controller", err, "run", run.ID)
	if errors.Is(err, agentapi.ErrLocked) && c.follow(ctx, a, run.ID, func(topology.RunState) {}) {
		return true
	}
	c.passBy(run.ID)
	return false
}

// lead follows a run that is ours by its token. req is nil where an earlier
// process of this controller has started it.
func (c *Controller) lead(ctx context.Context, a agentapi.Agent, id string, token topology.Token, req *topology.RunRequest) (ended bool) {
	c.mu.Lock()
	c.tokens[id] = token
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.tokens, id)
		c.mu.Unlock()
	}()
	return c.follow(ctx, a, id, func(s topology.RunState) { c.clear(ctx, a, s, token, req) })
}

// follow watches a run, has its destructive steps cleared, each once, and
// records its end. It reports whether the run has ended.
func (c *Controller) follow(ctx context.Context, a agentapi.Agent, id string, clear func(topology.RunState)) bool {
	var last topology.RunState
	cleared := map[string]bool{}
	err := a.Watch(ctx, id, func(s topology.RunState) {
		if s.Step() != last.Step() || s.Outcome != last.Outcome {
			c.o.Log.Info("run", "run", id, "step", s.Step(), "outcome", string(s.Outcome), "bytes", s.BytesDone)
		}
		last = s
		if s.Outcome == topology.RunWaiting && !cleared[s.Step()] {
			cleared[s.Step()] = true
			clear(s)
		}
	})
	if err != nil && ctx.Err() == nil {
		c.o.Log.Warn("run lost from sight", "run", id, "err", err)
		actx, cancel := context.WithTimeout(ctx, agentDeadline)
		defer cancel()
		if s, err := a.Run(actx, id); err == nil {
			last = s // else the next pass that sees it takes it up again
		}
	}
	if !last.Outcome.Ended() || last.ID == "" {
		return false
	}
	c.runEnded(last, "")
	return true
}

// passBy keeps a run from being taken up for a while.
func (c *Controller) passBy(run string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passedBy[run] = time.Now().Add(passByFor)
}

func endText(r topology.RunState) string {
	text := fmt.Sprintf("%s %s in %s, %s moved", r.Method, r.Outcome, r.Ended.Sub(r.Started).Round(time.Millisecond), humanize.IBytes(r.BytesDone))
	if r.Vault != nil {
		text += fmt.Sprintf(", %d lost commits in the vault", r.Vault.Commits)
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}
