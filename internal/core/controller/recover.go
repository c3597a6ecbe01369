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

const (
	// handOver is how long Pgpool-II has, after an online recovery's first
	// stage, to attach the node itself before this controller does.
	handOver = 20 * time.Second
	// refusalLasts is how long a refusal must stand to be the answer: one may be
	// of this very moment (stale facts).
	refusalLasts = 3 * time.Second
)

// Recover is pcp_recovery_node's first stage: the ordinary engine, ended when
// the node is proven ready. Pgpool-II attaches it then.
func (c *Controller) Recover(ctx context.Context, node topology.NodeID, say func(string)) error {
	if err := c.known(node, false); err != nil {
		return err
	}
	if !c.ledger.beginRecovery(node) {
		return refuse("recovering", "an online recovery of node %d is already under way", node)
	}
	err := c.recoverNode(ctx, node, say)
	// Pgpool-II passes no text of its scripts on to pcp_recovery_node.
	e := event.Event{Node: node, Kind: "recovery", Code: "recovered", Text: "pcp_recovery_node: the node is proven"}
	if err != nil {
		e.Code, e.Text = "not-recovered", "pcp_recovery_node failed: "+err.Error()
	}
	c.rec.record(e)
	return err
}

func (c *Controller) recoverNode(ctx context.Context, node topology.NodeID, say func(string)) error {
	var until time.Time // zero: this controller attaches the node as any other
	defer func() {
		c.ledger.endRecovery(node, until)
		c.Look("online recovery ended")
	}()
	pass, err := c.consent(ctx, control.ResyncRequest{Node: node, Who: "pcp_recovery_node"})
	var only *NotKeptError
	if err != nil && !errors.As(err, &only) {
		return err
	}
	if err := c.awaitReady(ctx, node, pass, say); err != nil {
		return err
	}
	until = time.Now().Add(handOver)
	return nil
}

// awaitReady returns when a pass after that one finds the node ready for its
// attach, or a refusal that lasts.
func (c *Controller) awaitReady(ctx context.Context, node topology.NodeID, pass uint64, say func(string)) error {
	told, refusedSince := "", time.Time{}
	tick := time.NewTicker(busyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.exec.life.Done():
			return errors.New("the controller is stopping")
		case <-tick.C:
		}
		st := c.Status()
		d := decisionFor(st, node)
		if d == nil || st.Pass <= pass {
			continue
		}
		if line := fmt.Sprintf("%s: %s", d.Code, d.Reason); line != told {
			told = line
			say(line)
		}
		refusal := refusalIn(st, d)
		switch {
		case refusal == nil && (d.Action == plan.Attach || d.Code == codes.Healthy):
			return nil
		case refusal == nil:
			refusedSince = time.Time{}
		case refusedSince.IsZero():
			refusedSince = time.Now()
		case time.Since(refusedSince) >= refusalLasts:
			return refusal
		}
	}
}

// refusalIn is why nothing will come of d, or nil.
func refusalIn(st control.Status, d *plan.Decision) *control.RefusedError {
	switch {
	case !st.Acting:
		return notActing(st.Why)
	case d.Severity == codes.Refused:
		return &control.RefusedError{Code: d.Code, Msg: d.Reason, Hint: d.Hint}
	}
	return nil
}

func decisionFor(st control.Status, node topology.NodeID) *plan.Decision {
	for i := range st.Decisions {
		if st.Decisions[i].Node == node {
			return &st.Decisions[i]
		}
	}
	return nil
}
