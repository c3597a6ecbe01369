package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// Attach is a person's request to have a node attached. It only removes what a
// person's will, a hold or a policy that asks, puts in the planner's way; the attach
// itself is the planner's and passes P1's gate as any other. Consent is given for
// the attach alone: consent to a resync would let the node be overwritten.
func (c *Controller) Attach(ctx context.Context, r control.NodeRequest) error {
	if err := c.known(r.Node, false); err != nil {
		return err
	}
	st := c.Status()
	d := decisionFor(st, r.Node)
	switch {
	case !st.Acting || d == nil:
		return notActing(st.Why)
	case !c.detachedNow(ctx, &st.Snapshot, r.Node):
		return refuse(codes.Attached, "node %d is not detached in any Pgpool-II", r.Node)
	case c.memory.read().HasHold(r.Node): // whether or not a pass has seen it
		e := event.Event{Node: r.Node, Kind: "release", Code: "attach-asked",
			Text: "attach requested by " + r.Who + ": the hold is over", Data: asJSON(r)}
		i := topology.Instruction{Word: topology.WordEndHold, Who: r.Who, At: time.Now()}
		return c.release(ctx, r.Node, i, e, func(m plan.Memory) plan.Memory { return plan.EndHold(m, r.Node) })
	case d.Code == codes.NeedsConsent && d.Method == topology.MethodAttach:
		_, err := c.consent(ctx, control.ResyncRequest{Node: r.Node, Method: topology.MethodAttach, Who: r.Who})
		return err
	case d.Severity == codes.Refused:
		return &control.RefusedError{Code: d.Code, Msg: d.Reason, Hint: d.Hint}
	}
	c.Look("attach requested") // it is on its way: once proven, it is attached
	return nil
}

func notActing(why string) *control.RefusedError {
	return &control.RefusedError{Code: codes.NotActing, Msg: "this controller is not acting: " + why,
		Hint: "ask the Pgpool-II that leads the watchdog"}
}

func refuse(code codes.Code, format string, args ...any) error {
	return &control.RefusedError{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// detachedNow says whether a Pgpool-II does not route to the node. It may have been
// detached since the last pass: then that is what the person speaks of.
func (c *Controller) detachedNow(ctx context.Context, last *topology.Snapshot, node topology.NodeID) bool {
	detached := func(p *topology.PoolView) bool {
		v := p.Node(node)
		return v != nil && !v.Attached()
	}
	if len(poolsWhere(last, detached)) > 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	snap := c.o.Observer.ObserveFresh(ctx)
	return len(poolsWhere(&snap, detached)) > 0
}

// Detach is a person's request to have a standby detached. Since a node that is
// detached and well is attached again (P9), it is put on hold first. A detach
// of the primary would be a failover: whatever may be the primary, in anybody's
// opinion, is refused, and so is what is not known.
func (c *Controller) Detach(ctx context.Context, r control.NodeRequest) error {
	if err := c.known(r.Node, false); err != nil {
		return err
	}
	if st := c.Status(); !st.Acting {
		return notActing(st.Why)
	}
	o := order{node: r.Node, what: plan.Detach}
	if !c.ledger.claim(o) {
		return &control.RefusedError{Code: codes.Busy, Hint: "try again in a few seconds",
			Msg: fmt.Sprintf("node %d is being attached or detached right now", r.Node)}
	}
	defer func() {
		c.ledger.free(o)
		c.Look("detach requested")
	}()
	octx, cancel := context.WithTimeout(ctx, agentDeadline)
	defer cancel()
	snap := c.o.Observer.ObserveFresh(octx)
	pools := poolsWhere(&snap, attachedIn(r.Node))
	if err := c.mayDetach(&snap, r.Node, len(pools)); err != nil {
		return err
	}
	why := r.Why
	if why == "" {
		why = "detached by hand"
	}
	held := c.Hold(ctx, control.HoldRequest{Node: r.Node, Who: r.Who, Why: why})
	var only *NotKeptError
	if held != nil && !errors.As(held, &only) {
		return held
	}
	d := plan.Decision{Node: r.Node, Code: "detach-asked", Reason: "requested by " + r.Who}
	for _, i := range pools {
		if p := c.o.Pools[i]; !c.exec.askPool(ctx, p, d, plan.Detach) {
			return fmt.Errorf("%s did not accept the detach of node %d, which is on hold now; repool history says why",
				p.Endpoint(), r.Node)
		}
	}
	return held
}

// mayDetach says why not, if so.
func (c *Controller) mayDetach(snap *topology.Snapshot, node topology.NodeID, attached int) error {
	if _, why := mayAct(snap); why != "" {
		return notActing(why)
	}
	for i := range snap.Pools {
		p := &snap.Pools[i]
		if p.Waiting != "" {
			return &control.RefusedError{Code: codes.Busy, Hint: "try again when it has ended",
				Msg: "Pgpool-II at " + p.Endpoint + " takes no request: " + p.Waiting}
		}
		if !p.OK() || p.Primary == topology.NoNode || p.Primary == node {
			return refuse(codes.IsPrimary, "Pgpool-II at %s may consider node %d the primary: its detach would be a failover",
				p.Endpoint, node)
		}
	}
	n := snap.Node(node)
	primary := snap.Node(snap.Pools[0].Primary)
	switch {
	case attached == 0:
		return refuse(codes.Detached, "node %d is not attached in any Pgpool-II", node)
	case c.memory.read().Primary == node || n == nil || !n.SQL.OK() || !n.SQL.InRecovery:
		return refuse(codes.IsPrimary, "node %d is not proven to be a standby: its detach could be a failover", node)
	case primary == nil || !primary.SQL.OK() || primary.SQL.InRecovery:
		return refuse(codes.NoPrimary, "no primary is known that would serve without node %d", node)
	}
	return nil
}
