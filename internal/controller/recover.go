package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// handOver is how long Pgpool-II has, after an online recovery's first stage,
// to attach the node itself before this controller does.
const handOver = 20 * time.Second

// leftToPgpool says whether an online recovery is under way, so that
// Pgpool-II's own attach comes first.
func (c *Controller) leftToPgpool(node topology.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.recovers[node]
	if ok && time.Now().After(until) {
		delete(c.recovers, node)
		return false
	}
	return ok
}

// Recover is pcp_recovery_node's first stage: the ordinary engine, ended when
// the node is proven ready. Pgpool-II attaches it then.
func (c *Controller) Recover(ctx context.Context, node topology.NodeID, say func(string)) error {
	if err := c.known(node, false); err != nil {
		return err
	}
	c.mu.Lock()
	_, twice := c.recovers[node]
	c.recovers[node] = time.Now().Add(24 * time.Hour)
	c.mu.Unlock()
	if twice {
		return &control.RefusedError{Code: "recovering", Msg: fmt.Sprintf("an online recovery of node %d is under way already", node)}
	}
	release := time.Now()
	defer func() {
		c.mu.Lock()
		c.recovers[node] = release
		c.mu.Unlock()
		c.Look("online recovery ended")
	}()
	if err := c.Resync(ctx, control.ResyncRequest{Node: node, Who: "pcp_recovery_node"}); err != nil {
		return err
	}
	asked := time.Now()
	told, refusedSince := "", time.Time{}
	tick := time.NewTicker(busyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		st := c.Status()
		d := decisionFor(st, node)
		if d == nil || st.At.Before(asked) {
			continue
		}
		if line := fmt.Sprintf("%s: %s", d.Code, d.Reason); line != told {
			told = line
			say(line)
		}
		switch {
		case d.Action == plan.Attach, d.Code == plan.CodeHealthy:
			release = time.Now().Add(handOver)
			return nil
		case d.Severity == plan.Refused:
			// A refusal may be of this very moment (stale facts); one that
			// lasts is the answer.
			if refusedSince.IsZero() {
				refusedSince = time.Now()
			}
			if time.Since(refusedSince) > 3*time.Second {
				return &control.RefusedError{Code: string(d.Code), Msg: d.Reason, Hint: d.Hint}
			}
		default:
			refusedSince = time.Time{}
		}
	}
}

func decisionFor(st control.Status, node topology.NodeID) *plan.Decision {
	for i := range st.Decisions {
		if st.Decisions[i].Node == node {
			return &st.Decisions[i]
		}
	}
	return nil
}
