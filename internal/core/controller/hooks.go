package controller

import (
	"context"
	"errors"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

const (
	// hooksAgain is how long after a failure unfinished hooks are tried again.
	hooksAgain = 2 * time.Second
	// checkpointDeadline bounds a checkpoint, which writes all of a server's memory.
	checkpointDeadline = 10 * time.Minute
)

// resumeHooks finishes promotions that a killed hook left undone.
func (x *executor) resumeHooks() {
	if x.o.Unfinished == nil || !x.o.Unfinished.Pending() || !x.ledger.hooksDue() {
		return
	}
	x.launchIfFree(order{node: topology.NoNode, what: finishHooks, do: func(ctx context.Context) bool {
		finished, err := x.o.Unfinished.Resume(ctx)
		if ctx.Err() != nil {
			return false
		}
		x.rec.warn("hooks", "unfinished hook", err)
		for _, f := range finished {
			x.rec.record(event.Event{Node: f.Node, Kind: "hook", Code: f.Code, Text: "unfinished failover hook: " + f.Text})
		}
		if err != nil || len(finished) == 0 {
			x.ledger.hooksAfter(hooksAgain)
		}
		return len(finished) > 0
	}})
}

// checkpoint runs one on a node in the background: the caller, a hook, cannot
// wait for it. One that is requested while another runs is run after it, since
// what made it necessary may have happened after the other began.
func (x *executor) checkpoint(node topology.NodeID) error {
	if x.o.Checkpoint == nil {
		return errors.New("this controller cannot run a checkpoint")
	}
	if !x.ledger.beginCheckpoint(node) {
		return nil
	}
	if !x.begin(func(ctx context.Context) { x.checkpoints(ctx, node) }) {
		return errors.New("the controller is stopping")
	}
	return nil
}

func (x *executor) checkpoints(ctx context.Context, node topology.NodeID) {
	for again := true; again; again = x.ledger.endCheckpoint(node, ctx.Err() != nil) {
		cctx, cancel := context.WithTimeout(ctx, checkpointDeadline)
		err := x.o.Checkpoint(cctx, node)
		cancel()
		x.rec.warn("checkpoint "+node.String(), "checkpoint failed", err, "node", int(node))
	}
}
