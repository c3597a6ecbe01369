package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// recoveryAware is an Observer for the time of an online recovery. Up to 4.4,
// Pgpool-II replaces its PCP process a second after a failover; the old one waits
// for its clients to leave, pcp_recovery_node among them, and Pgpool-II's main
// process waits for the old one. Until the recovery has ended nobody gets an answer
// over PCP, and Pgpool-II carries out no failover, attach or detach either: what it
// said last, right before it asked for this recovery, is still so.
type recoveryAware struct {
	Observer
	ledger *ledger

	mu   sync.Mutex
	last topology.PoolView // the local Pgpool-II's last answer
}

// spokeBefore is how long before the recovery began that answer may be. Pgpool-II
// was still answering when it took the request.
const spokeBefore = 5 * time.Second

// Observe fills in the local Pgpool-II's view while it waits for a recovery.
func (o *recoveryAware) Observe(ctx context.Context) topology.Snapshot {
	return o.fill(o.Observer.Observe(ctx))
}

// ObserveFresh is Observe with fresh answers.
func (o *recoveryAware) ObserveFresh(ctx context.Context) topology.Snapshot {
	return o.fill(o.Observer.ObserveFresh(ctx))
}

func (o *recoveryAware) fill(snap topology.Snapshot) topology.Snapshot {
	if len(snap.Pools) == 0 {
		return snap
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p := &snap.Pools[0]
	if p.OK() {
		o.last = *p
		return snap
	}
	node, begun, ok := o.ledger.recovering()
	if !ok || !p.Silent || o.last.At.Before(begun.Add(-spokeBefore)) {
		return snap
	}
	// Pgpool-II recovers no node that it has attached: such a view is from before.
	if v := o.last.Node(node); v == nil || v.Attached() {
		return snap
	}
	snap.Pools = slices.Clone(snap.Pools)
	v := o.last
	v.At = time.Now()
	v.Waiting = fmt.Sprintf("it waits for the online recovery of node %s, and answers nobody over PCP until that has "+
		"ended", node)
	snap.Pools[0] = v
	return snap
}
