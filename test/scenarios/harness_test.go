package scenarios

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

// slots bounds how many pools exist at a time, whatever -parallel says.
var slots = make(testpool.Slots, 3)

// pool is one real pool under test.
type pool struct {
	*testpool.Pool

	passMu    sync.Mutex
	passSince time.Time
	passFrom  uint64
}

// up builds a pool with hooks and controller, and takes it down with the test.
// Tests that use it run side by side.
func up(t *testing.T, o lab.Options) *pool {
	t.Helper()
	return &pool{Pool: testpool.Up(t, slots, o)}
}

// anyContext keeps the conditions of wait short to write.
type anyContext = context.Context

// passes says whether the controller has published n snapshots since a time.
func (p *pool) passes(since time.Time, n uint64) error {
	st, err := p.Ctl.Status(p.Ctx)
	if err != nil {
		return err
	}
	p.passMu.Lock()
	defer p.passMu.Unlock()
	if p.passSince != since {
		p.passSince, p.passFrom = since, st.Pass
	}
	if st.Pass < p.passFrom+n {
		return fmt.Errorf("%d passes so far", st.Pass-p.passFrom)
	}
	return nil
}

// poolNode is what Pgpool-II says of a node, as the controller last saw it.
func (p *pool) poolNode(node int) (topology.PoolNode, error) {
	st, err := p.Ctl.Status(p.Ctx)
	if err != nil {
		return topology.PoolNode{}, err
	}
	for i := range st.Snapshot.Pools {
		if n := st.Snapshot.Pools[i].Node(topology.NodeID(node)); n != nil {
			return *n, nil
		}
	}
	return topology.PoolNode{}, fmt.Errorf("Pgpool-II's view has no node %d", node)
}

// detachedStill is an error when Pgpool-II routes to the node.
func (p *pool) detachedStill(node int) error {
	for _, s := range p.Lab.Status(p.Ctx) {
		if s.ID == node && s.Attached {
			return fmt.Errorf("node %d is attached", node)
		}
	}
	return nil
}

// happened is an error until the history has an event of that kind and code.
func (p *pool) happened(ctx context.Context, node int, since time.Time, kind string, code codes.Code) error {
	id := topology.NodeID(node)
	events, err := p.Ctl.History(ctx, event.Filter{Node: &id, Kind: kind, Since: since.Truncate(time.Second),
		Limit: 500})
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Code == string(code) && !e.At.Before(since) {
			return nil
		}
	}
	return fmt.Errorf("no %s of node %d under code %s yet", kind, node, code)
}
