package controller

import (
	"context"
	"sync"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
)

// executor carries out orders, each in a goroutine of its own beside the loop. The
// loop calls accept, launch and what finds work without a decision (adoptRuns,
// accountForRuns, resumeHooks); requests call begin and askPool.
type executor struct {
	o      *Options
	memory *memory
	ledger *ledger
	rec    *recorder
	holder string       // under which nodes are locked
	look   func(string) // asks for a pass
	// life is the context of all orders; end ends it.
	life context.Context
	end  context.CancelFunc

	acts     sync.WaitGroup
	mu       sync.Mutex // guards stopping
	stopping bool
}

// order is something about to be done to a node, most often a decision.
type order struct {
	node topology.NodeID
	what plan.Action
	run  string // the run to cancel
	// decided: it rests on this pass's look, and not on one of its own.
	decided bool
	// do reports whether the world has changed, so that a pass is due.
	do func(ctx context.Context) (changed bool)
}

// What is done without a decision.
const (
	followRun     plan.Action = "follow a run"
	accountForRun plan.Action = "account for a run"
	finishHooks   plan.Action = "unfinished hooks"
)

// accept makes d an order, if it asks for anything and the node is free for it. The
// node is taken then, until the order has been launched and has ended.
func (x *executor) accept(d plan.Decision, snap *topology.Snapshot, acting bool) (order, bool) {
	if !acting {
		return order{}, false
	}
	o := order{node: d.Node, what: d.Action, decided: true}
	switch d.Action {
	case plan.Attach, plan.Detach, plan.Nudge:
		pools := poolsFor(d, snap)
		if len(pools) == 0 {
			return o, false
		}
		o.do = func(ctx context.Context) bool { return x.askPools(ctx, d, pools) }
	case plan.Fence, plan.Resync, plan.Cancel, plan.DropSlots:
		if x.o.Agents[d.Node] == nil || !x.agentOrder(&o, d, snap) {
			return o, false
		}
	default:
		return o, false
	}
	return o, x.ledger.claim(o)
}

// agentOrder says what the node's agent has to do. It is false when there is nothing.
func (x *executor) agentOrder(o *order, d plan.Decision, snap *topology.Snapshot) bool {
	switch d.Action {
	case plan.Fence:
		o.do = func(ctx context.Context) bool { return x.fence(ctx, d) }
	case plan.DropSlots:
		o.do = func(ctx context.Context) bool { return x.dropSlots(ctx, d) }
	case plan.Resync:
		o.do = func(ctx context.Context) bool { return x.resync(ctx, d) }
		return d.Request != nil
	case plan.Cancel:
		n := snap.Node(d.Node)
		if n == nil || n.Agent.Run == nil {
			return false
		}
		o.run = n.Agent.Run.ID
		o.do = func(ctx context.Context) bool { return x.cancel(ctx, d, o.run) }
	}
	return true
}

// launch carries out an order whose node is taken, and frees the node.
func (x *executor) launch(o order) {
	x.begin(func(ctx context.Context) {
		changed := o.do(ctx)
		x.ledger.free(o)
		if changed {
			x.look(string(o.what) + " ended")
		}
	})
}

// launchIfFree is launch for what no decision asks for.
func (x *executor) launchIfFree(o order) {
	if x.ledger.claim(o) {
		x.launch(o)
	}
}

// begin runs f beside the loop, unless the controller is stopping.
func (x *executor) begin(f func(ctx context.Context)) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stopping {
		return false
	}
	x.acts.Go(func() { f(x.life) })
	return true
}

// stop ends all orders and waits for them.
func (x *executor) stop() {
	x.end()
	x.mu.Lock()
	x.stopping = true
	x.mu.Unlock()
	x.acts.Wait()
}
