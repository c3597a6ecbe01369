package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// pcpDeadline bounds one attach or detach request.
const pcpDeadline = 5 * time.Second

// poolsFor lists the Pgpool-IIs, by index, to which a decision applies.
func poolsFor(d plan.Decision, snap *topology.Snapshot) []int {
	switch d.Action {
	case plan.Attach:
		return poolsWhere(snap, func(p *topology.PoolView) bool {
			v := p.Node(d.Node)
			return v != nil && !v.Attached() && !v.Quarantine
		})
	case plan.Detach:
		return poolsWhere(snap, attachedIn(d.Node))
	}
	// Never nudge a Pgpool-II that considers the node its primary: a detach there
	// would be a failover.
	return poolsWhere(snap, func(p *topology.PoolView) bool { return p.Primary != d.Node && p.Node(d.Node) != nil })
}

// poolsWhere lists the answering pools, by index, for which is is true.
// One that waits answers no request.
func poolsWhere(snap *topology.Snapshot, is func(*topology.PoolView) bool) []int {
	var out []int
	for i := range snap.Pools {
		if p := &snap.Pools[i]; p.OK() && p.Waiting == "" && is(p) {
			out = append(out, i)
		}
	}
	return out
}

func attachedIn(node topology.NodeID) func(*topology.PoolView) bool {
	return func(p *topology.PoolView) bool {
		v := p.Node(node)
		return v != nil && v.Attached()
	}
}

// askPools carries out an attach, a detach or a nudge in those pools.
func (x *executor) askPools(ctx context.Context, d plan.Decision, pools []int) (changed bool) {
	for _, i := range pools {
		if p := x.o.Pools[i]; d.Action == plan.Nudge {
			x.nudge(ctx, p, d)
		} else {
			x.askPool(ctx, p, d, d.Action)
		}
	}
	return true
}

// nudge makes Pgpool-II search for the primary again: it searches only after
// an attach or detach of some node (pgpool-II 4.3.5, failover(), seen live).
// The detach is queued, and an attach queued behind it is executed after it. A
// primary must not stay detached because we are told to stop in between.
func (x *executor) nudge(ctx context.Context, p Pool, d plan.Decision) {
	x.askPool(ctx, p, d, plan.Detach)
	for range 3 {
		if x.askPool(context.WithoutCancel(ctx), p, d, plan.Attach) {
			return
		}
	}
}

// askPool makes one request, an attach or a detach, to one Pgpool-II and records it.
func (x *executor) askPool(ctx context.Context, p Pool, d plan.Decision, what plan.Action) (accepted bool) {
	ctx, cancel := context.WithTimeout(ctx, pcpDeadline)
	defer cancel()
	ask := p.Attach
	if what == plan.Detach {
		ask = p.Detach
	}
	kind := string(what)
	if err := ask(ctx, d.Node); err != nil {
		x.o.Log.Warn(kind+" request failed", "node", int(d.Node), "pool", p.Endpoint(), "err", err)
		x.rec.record(event.Event{Node: d.Node, Kind: kind, Code: kind + "-refused",
			Text: fmt.Sprintf("%s request to %s failed: %v", kind, p.Endpoint(), err)})
		return false
	}
	x.o.Log.Info(kind+" requested", "node", int(d.Node), "pool", p.Endpoint(), "code", string(d.Code))
	x.rec.record(event.Event{Node: d.Node, Kind: kind, Code: string(d.Code),
		Text: fmt.Sprintf("%s requested from %s: %s", kind, p.Endpoint(), d.Reason), Data: asJSON(d.Evidence)})
	return true
}
