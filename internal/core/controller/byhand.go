package controller

import (
	"context"
	"fmt"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// Codes of refusals that only a person's request can get.
const (
	codeNotActing = "not-acting"
	codeAttached  = "attached"
	codeDetached  = "detached"
	codeIsPrimary = "is-primary"
	codeBusy      = "busy"
)

// Attach is a person's wish to have a node attached. It only takes away what
// keeps the planner from it by a person's will, a hold or a policy that asks;
// the attach itself is the planner's, through P1's gate, as any other. Consent
// is given for the attach alone: resync consent would make the node one that
// may be overwritten.
func (c *Controller) Attach(ctx context.Context, r control.NodeRequest) error {
	if err := c.known(r.Node, false); err != nil {
		return err
	}
	st := c.Status()
	d := decisionFor(st, r.Node)
	switch {
	case !st.Acting || d == nil:
		return &control.RefusedError{Code: codeNotActing, Msg: "this controller only looks: " + st.Why, Hint: "ask the Pgpool-II that leads the watchdog"}
	case !c.detachedNow(ctx, &st.Snapshot, r.Node):
		return &control.RefusedError{Code: codeAttached, Msg: fmt.Sprintf("no Pgpool-II has node %d detached", r.Node)}
	case c.held(r.Node):
		e := event.Event{Node: r.Node, Kind: "release", Code: "attach-asked", Text: "attach asked for by " + r.Who + ": the hold is over", Data: asJSON(r)}
		_, err := c.change(ctx, e, func(m plan.Memory) plan.Memory { return plan.EndHold(m, r.Node) })
		return err
	case d.Code == plan.CodeNeedsConsent && d.Method == topology.MethodAttach:
		_, err := c.resyncAsked(ctx, control.ResyncRequest{Node: r.Node, Method: topology.MethodAttach, Who: r.Who})
		return err
	case d.Severity == plan.Refused:
		return &control.RefusedError{Code: string(d.Code), Msg: d.Reason, Hint: d.Hint}
	}
	c.Look("attach asked for") // it is on its way: proven, it is attached
	return nil
}

// held says whether the node itself is on hold at this moment, seen by a pass or not.
func (c *Controller) held(node topology.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mem.HasHold(node)
}

// detachedNow says whether a Pgpool-II does not route to the node. It may have been
// detached since the last pass: then that is what the person speaks of.
func (c *Controller) detachedNow(ctx context.Context, last *topology.Snapshot, node topology.NodeID) bool {
	if len(poolsWhere(last, detached(node))) > 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	snap := c.o.Observer.ObserveAnew(ctx)
	return len(poolsWhere(&snap, detached(node))) > 0
}

// Detach is a person's wish to have a standby detached. Since a node that is
// detached and well is attached again (P9), it is put on hold first. A detach
// of the primary would be a failover: whatever may be the primary, by anybody's
// opinion, is refused, and so is what is not known.
func (c *Controller) Detach(ctx context.Context, r control.NodeRequest) error {
	if err := c.known(r.Node, false); err != nil {
		return err
	}
	if st := c.Status(); !st.Acting {
		return &control.RefusedError{Code: codeNotActing, Msg: "this controller only looks: " + st.Why, Hint: "ask the Pgpool-II that leads the watchdog"}
	}
	s := slot{node: r.Node, detach: true}
	c.mu.Lock()
	other := c.busy[slot{node: r.Node}]
	if !c.free(s) || other == string(plan.Attach) || other == string(plan.Nudge) {
		c.mu.Unlock()
		return &control.RefusedError{Code: codeBusy, Msg: fmt.Sprintf("node %d is being attached or detached at this moment", r.Node), Hint: "try again in a few seconds"}
	}
	c.busy[s] = "detach asked for by a person"
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.busy, s)
		c.mu.Unlock()
		c.Look("detach asked for")
	}()
	octx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	snap := c.o.Observer.ObserveAnew(octx)
	pools := poolsWhere(&snap, func(p *topology.PoolView) bool { v := p.Node(r.Node); return v != nil && v.Attached() })
	if err := c.mayDetach(&snap, r.Node, len(pools)); err != nil {
		return err
	}
	if err := c.Hold(ctx, control.HoldRequest{Node: r.Node, Who: r.Who, Why: orText(r.Why, "detached by hand")}); err != nil {
		return err
	}
	d := plan.Decision{Node: r.Node, Code: "detach-asked", Reason: "asked for by " + r.Who}
	for _, i := range pools {
		if !c.askPool(ctx, c.o.Pools[i], d, "detach") {
			return fmt.Errorf("%s did not take the detach of node %d, which is on hold now; repool history says why", c.o.Pools[i].Endpoint(), r.Node)
		}
	}
	return nil
}

// mayDetach says why not, if so.
func (c *Controller) mayDetach(snap *topology.Snapshot, node topology.NodeID, attached int) error {
	refuse := func(code, format string, args ...any) error {
		return &control.RefusedError{Code: code, Msg: fmt.Sprintf(format, args...)}
	}
	if _, why := mayAct(snap); why != "" {
		return refuse(codeNotActing, "this controller only looks: %s", why)
	}
	c.mu.Lock()
	last := c.mem.Primary
	c.mu.Unlock()
	for i := range snap.Pools {
		if p := &snap.Pools[i]; !p.OK() || p.Primary == topology.NoNode || p.Primary == node {
			return refuse(codeIsPrimary, "Pgpool-II at %s may hold node %d for the primary: its detach would be a failover", p.Endpoint, node)
		}
	}
	n := snap.Node(node)
	primary := snap.Node(snap.Pools[0].Primary)
	switch {
	case attached == 0:
		return refuse(codeDetached, "no Pgpool-II has node %d attached", node)
	case last == node || n == nil || !n.SQL.OK() || !n.SQL.InRecovery:
		return refuse(codeIsPrimary, "node %d is not proven to be a standby: its detach could be a failover", node)
	case primary == nil || !primary.SQL.OK() || primary.SQL.InRecovery:
		return refuse(string(plan.CodeNoPrimary), "no primary is known that would serve without node %d", node)
	}
	return nil
}

// detached finds the Pgpool-IIs that do not route to a node.
func detached(node topology.NodeID) func(*topology.PoolView) bool {
	return func(p *topology.PoolView) bool {
		v := p.Node(node)
		return v != nil && !v.Attached()
	}
}

func orText(s, or string) string {
	if s == "" {
		return or
	}
	return s
}
