package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/event"
)

// agentDeadline bounds the short calls to an agent.
const agentDeadline = 10 * time.Second

// resync starts a run on the node's agent and follows it to its end. The run
// is the agent's: if this controller dies, it goes on, up to the next step
// that needs clearance.
func (x *executor) resync(ctx context.Context, d plan.Decision) (changed bool) {
	a := x.o.Agents[d.Node]
	begun := time.Now()
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	token, err := a.Acquire(actx, x.holder)
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
		x.notStarted(ctx, d, err)
		return false
	}
	x.ledger.mayStart(d.Node)
	x.ledger.runStarted(req.ID, d.Node)
	x.o.Log.Info("run started", "run", req.ID, "node", int(d.Node), "method", string(d.Method), "code", string(d.Code))
	x.rec.record(event.Event{Node: d.Node, Kind: "run", Code: "started", Run: req.ID,
		Text: fmt.Sprintf("%s from node %d started: %s", d.Method, req.Upstream.Node, d.Reason), Data: asJSON(d)})
	x.look("run started")
	x.lead(ctx, req.ID, led{a, token, &req})
	return true
}

func (x *executor) notStarted(ctx context.Context, d plan.Decision, err error) {
	if ctx.Err() != nil {
		return // it is we who stop
	}
	if x.ledger.notStarted(d.Node, err) {
		return
	}
	x.o.Log.Warn("run not started", "node", int(d.Node), "method", string(d.Method), "err", err)
	x.rec.record(event.Event{Node: d.Node, Kind: "run", Code: "not-started",
		Text: fmt.Sprintf("%s not started: %v", d.Method, err)})
}

// adoptRuns follows runs that an earlier controller started and that still go on.
func (x *executor) adoptRuns(snap *topology.Snapshot) {
	x.ledger.forgetPassed()
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		r, a := n.Agent.Run, x.o.Agents[n.ID]
		if !n.Agent.OK() || r == nil || r.Outcome.Ended() || a == nil || x.ledger.isPassedBy(r.ID) {
			continue
		}
		run := *r
		x.launchIfFree(order{node: n.ID, what: followRun, do: func(ctx context.Context) bool {
			return x.takeOver(ctx, a, run)
		}})
	}
}

// takeOver asks for the token of a run under way and follows it. A run that
// another controller leads is only watched: whether that one is still alive
// cannot be known from here, and without its clearance the run ends by itself.
func (x *executor) takeOver(ctx context.Context, a agentapi.Agent, run topology.RunState) (ended bool) {
	actx, cancel := context.WithTimeout(ctx, agentDeadline)
	token, err := a.Acquire(actx, x.holder)
	cancel()
	if err == nil {
		x.o.Log.Info("run taken over", "run", run.ID, "node", int(run.Node), "step", run.Step())
		return x.lead(ctx, run.ID, led{a, token, nil})
	}
	x.rec.warn("run "+run.ID, "run of another controller", err, "run", run.ID)
	if errors.Is(err, agentapi.ErrLocked) && x.follow(ctx, a, run.ID, func(topology.RunState) {}) {
		return true
	}
	x.ledger.passBy(run.ID)
	return false
}

// led is a run that is ours by its token.
type led struct {
	agent agentapi.Agent
	token topology.Token
	// req is nil where an earlier process of this controller has started the run.
	req *topology.RunRequest
}

// lead follows a run that is ours, and has its destructive steps cleared.
func (x *executor) lead(ctx context.Context, id string, l led) (ended bool) {
	x.ledger.lead(id, l.token)
	defer x.ledger.endLead(id)
	return x.follow(ctx, l.agent, id, func(s topology.RunState) { x.clear(ctx, l, s) })
}

// follow watches a run and records its end; it reports whether the run has ended.
// clear is called once for each destructive step that waits.
func (x *executor) follow(ctx context.Context, a agentapi.Agent, id string, clear func(topology.RunState)) bool {
	var last topology.RunState
	cleared := map[string]bool{}
	err := a.Watch(ctx, id, func(s topology.RunState) {
		if s.Step() != last.Step() || s.Outcome != last.Outcome {
			x.o.Log.Info("run", "run", id, "step", s.Step(), "outcome", string(s.Outcome), "bytes", s.BytesDone)
		}
		last = s
		if s.Outcome == topology.RunWaiting && !cleared[s.Step()] {
			cleared[s.Step()] = true
			clear(s)
		}
	})
	if err != nil && ctx.Err() == nil {
		x.o.Log.Warn("lost contact with the run", "run", id, "err", err)
		actx, cancel := context.WithTimeout(ctx, agentDeadline)
		defer cancel()
		if s, err := a.Run(actx, id); err == nil {
			last = s // else the next pass that sees it takes it over again
		}
	}
	if !last.Outcome.Ended() || last.ID == "" {
		return false
	}
	x.runEnded(last, "")
	return true
}

// runEnded records the end of a run and tells the audience, once.
func (x *executor) runEnded(r topology.RunState, how string) {
	x.ledger.runEnded(r.ID)
	x.o.Log.Info("run ended", "run", r.ID, "outcome", string(r.Outcome), "code", r.Code, "bytes", r.BytesDone,
		"err", r.Error)
	x.rec.record(event.Event{Node: r.Node, Kind: "run", Code: string(r.Outcome), Run: r.ID, Text: endText(r) + how,
		Data: asJSON(r)})
	for _, a := range x.o.Audience {
		a.RunEnded(r)
	}
}

func endText(r topology.RunState) string {
	took := r.Ended.Sub(r.Started).Round(time.Millisecond)
	text := fmt.Sprintf("%s %s in %s, %s moved", r.Method, r.Outcome, took, humanize.IBytes(r.BytesDone))
	if r.Vault != nil {
		text += fmt.Sprintf(", %d lost commits in the vault", r.Vault.Commits)
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}

// cancel ends a run whose upstream is no longer the primary. It takes effect at
// the run's next safe point, and is requested once per run.
func (x *executor) cancel(ctx context.Context, d plan.Decision, run string) (changed bool) {
	ctx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	a := x.o.Agents[d.Node]
	token := x.ledger.token(run)
	var err error
	if token == 0 { // nobody here leads it, so no token of ours is lost
		token, err = a.Acquire(ctx, x.holder)
	}
	if err == nil {
		err = a.Cancel(ctx, token, run)
	}
	x.rec.warn("cancel "+run, "run not cancelled", err, "node", int(d.Node), "run", run)
	if err != nil && !final(err) {
		return false
	}
	x.ledger.cancelled(d.Node, run)
	if err == nil {
		x.rec.record(event.Event{Node: d.Node, Kind: "run", Code: "cancel-asked", Run: run, Text: d.Reason})
	}
	return false
}
