package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/agentapi"
	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// agentDeadline bounds the short calls to an agent.
const agentDeadline = 10 * time.Second

// resync starts a run on the node's agent and follows it to its end. The run
// is the agent's: if this controller dies, it goes on, up to the next step
// that needs clearance.
func (c *Controller) resync(ctx context.Context, d plan.Decision) {
	a := c.agent(d.Node)
	if a == nil {
		return
	}
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	token, err := a.Acquire(actx, c.holder)
	if err != nil {
		c.runNotStarted(ctx, d, err)
		return
	}
	req := *d.Request
	req.Token = token
	req.ID = fmt.Sprintf("%s-n%d-%s-%d", time.Now().UTC().Format("20060102T150405.000"), d.Node, d.Method, token)
	if err := a.StartRun(actx, req); err != nil {
		c.runNotStarted(ctx, d, err)
		return
	}
	c.o.Log.Info("run started", "run", req.ID, "node", int(d.Node), "method", string(d.Method), "code", string(d.Code))
	c.record(ctx, history.Event{Node: d.Node, Kind: "run", Code: "started",
		Text: fmt.Sprintf("%s from node %d started: %s", d.Method, req.Upstream.Node, d.Reason), Data: asJSON(d)})
	c.follow(ctx, a, req.ID, token, &req)
}

func (c *Controller) runNotStarted(ctx context.Context, d plan.Decision, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	c.o.Log.Warn("run not started", "node", int(d.Node), "method", string(d.Method), "err", err)
	c.record(ctx, history.Event{Node: d.Node, Kind: "run", Code: "not-started", Text: fmt.Sprintf("%s not started: %v", d.Method, err)})
}

// adopt follows runs that an earlier controller started and that still go on.
func (c *Controller) adopt(ctx context.Context, snap *topology.Snapshot) {
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		r := n.Agent.Run
		if !n.Agent.OK() || r == nil || r.Outcome.Ended() {
			continue
		}
		c.mu.Lock()
		known := c.watching[r.ID] || c.busy[n.ID] != ""
		c.mu.Unlock()
		if known {
			continue
		}
		run := *r
		c.one(ctx, n.ID, "follow run", func(ctx context.Context) {
			a := c.agent(run.Node)
			if a == nil {
				return
			}
			actx, cancel := context.WithTimeout(ctx, agentDeadline)
			token, err := a.Acquire(actx, c.holder)
			cancel()
			if err != nil {
				c.o.Log.Info("run of another controller", "run", run.ID, "err", err)
				return
			}
			c.follow(ctx, a, run.ID, token, nil)
		})
	}
}

// follow watches a run, clears its destructive steps after a fresh look, and
// records its end.
func (c *Controller) follow(ctx context.Context, a agentapi.Agent, id string, token topology.Token, req *topology.RunRequest) {
	c.mu.Lock()
	c.watching[id] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.watching, id)
		c.mu.Unlock()
	}()
	var last topology.RunState
	cleared := map[string]bool{}
	err := a.Watch(ctx, id, func(s topology.RunState) {
		if s.Step() != last.Step() || s.Outcome != last.Outcome {
			c.o.Log.Info("run", "run", id, "step", s.Step(), "outcome", string(s.Outcome), "bytes", s.BytesDone)
			c.Look("run " + s.Step())
		}
		last = s
		if s.Outcome == topology.RunWaiting && !cleared[s.Step()] {
			cleared[s.Step()] = true
			c.clear(ctx, a, s, token, req)
		}
	})
	if err != nil && ctx.Err() == nil {
		c.o.Log.Warn("run lost from sight", "run", id, "err", err)
	}
	if !last.Outcome.Ended() {
		return
	}
	text := fmt.Sprintf("%s %s in %s, %s moved", last.Method, last.Outcome, last.Ended.Sub(last.Started).Round(time.Millisecond), humanize.IBytes(last.BytesDone))
	if last.Vault != nil {
		text += fmt.Sprintf(", %d lost commits in the vault", last.Vault.Commits)
	}
	if last.Error != "" {
		text += ": " + last.Error
	}
	c.o.Log.Info("run ended", "run", id, "outcome", string(last.Outcome), "code", last.Code, "bytes", last.BytesDone, "err", last.Error)
	c.record(ctx, history.Event{Node: last.Node, Kind: "run", Code: string(last.Outcome), Text: text, Data: asJSON(last)})
}

// clear is P2's second key: look anew at everything, and let the run pass its
// destructive step only if the primary is still the one it was started for and
// Pgpool-II agrees.
func (c *Controller) clear(ctx context.Context, a agentapi.Agent, s topology.RunState, token topology.Token, req *topology.RunRequest) {
	octx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	snap := c.o.Observer.Observe(octx)
	c.mu.Lock()
	mem := c.mem
	c.mu.Unlock()
	if err := plan.Confirm(mem, snap, c.o.Policy, time.Now(), s, req); err != nil {
		c.o.Log.Warn("clearance withheld", "run", s.ID, "step", s.Step(), "err", err)
		c.record(ctx, history.Event{Node: s.Node, Kind: "run", Code: "no-clearance", Text: "clearance withheld for " + s.Step() + ": " + err.Error()})
		if err := a.Cancel(octx, token, s.ID); err != nil {
			c.o.Log.Warn("run not cancelled", "run", s.ID, "err", err)
		}
		return
	}
	if err := a.Clear(octx, token, s.ID, s.Step()); err != nil {
		c.o.Log.Warn("clearance not taken", "run", s.ID, "step", s.Step(), "err", err)
	}
}
