package hook

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// probes are open connections to nodes, with what each node said.
type probes struct {
	views   []view // but the failed node's, in the order of the ids
	servers map[topology.NodeID]Server
	asked   time.Time // when the nodes were last asked: none of the answers is older
	// failed waits for the failed node's own view. Nobody calls it without a
	// need, since the failed node is the one that hangs.
	failed func() view
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// probe asks all nodes in parallel.
func (d *Deps) probe(ctx context.Context, failed topology.NodeID) *probes {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Probe)
	attached := readPoolStatus(d.Pool.Pgpool.WorkDir)
	old := make(chan view, 1)
	p := &probes{servers: map[topology.NodeID]Server{}, asked: time.Now(), cancel: cancel,
		failed: sync.OnceValue(func() view { return <-old })}
	if d.Pool.Node(failed) == nil {
		old <- view{node: failed, err: fmt.Errorf("node %s is not in pgpool.conf", failed)}
	}
	type answer struct {
		view
		server Server
	}
	answers := make([]answer, len(d.Pool.Nodes))
	var others sync.WaitGroup
	for i, n := range d.Pool.Nodes {
		ask := func() {
			v := view{node: n.ID, attached: true}
			if attached != nil {
				v.attached = attached[n.ID]
			}
			s, err := d.Dial(ctx, n.ID)
			if err == nil {
				v.facts, err = s.Facts(ctx)
			}
			v.err = err
			if s != nil && (err != nil || n.ID == failed) {
				s.Close()
				s = nil
			}
			if n.ID == failed {
				old <- v
				return
			}
			answers[i] = answer{v, s}
		}
		if n.ID == failed {
			p.wait.Go(ask)
			continue
		}
		others.Go(ask)
	}
	others.Wait()
	for i, n := range d.Pool.Nodes {
		if n.ID == failed {
			continue
		}
		p.views = append(p.views, answers[i].view)
		if s := answers[i].server; s != nil {
			p.servers[n.ID] = s
		}
	}
	return p
}

// dialMissing connects to the nodes that have no connection, or do not answer on the one
// that they have; askOnceMore then asks them.
func (d *Deps) dialMissing(ctx context.Context, p *probes) {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Probe)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex // guards p.servers
	for i := range p.views {
		v := &p.views[i]
		if v.err == nil {
			continue
		}
		if s := p.servers[v.node]; s != nil {
			s.Close()
			delete(p.servers, v.node)
		}
		all.Go(func() {
			s, err := d.Dial(ctx, v.node)
			if v.err = err; err != nil {
				return
			}
			mu.Lock()
			p.servers[v.node] = s
			mu.Unlock()
		})
	}
	all.Wait()
}

// askOnceMore asks the nodes that answered the last time, in parallel. A node that does
// not answer now is not a candidate.
func (d *Deps) askOnceMore(ctx context.Context, p *probes) {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Probe)
	defer cancel()
	p.asked = time.Now()
	var all sync.WaitGroup
	for i := range p.views {
		v := &p.views[i]
		s := p.servers[v.node]
		if s == nil || v.err != nil {
			continue
		}
		all.Go(func() { v.facts, v.err = s.Facts(ctx) })
	}
	all.Wait()
}

// facts are what the node said last; it must have answered.
func (p *probes) facts(node topology.NodeID) Facts {
	i := slices.IndexFunc(p.views, func(v view) bool { return v.node == node })
	return p.views[i].facts
}

// close ends what is still open, and waits for it.
func (p *probes) close() {
	p.cancel()
	for _, s := range p.servers {
		s.Close()
	}
	p.wait.Wait()
}

// alive asks a node again whether it is up and not in recovery.
func (d *Deps) alive(ctx context.Context, node topology.NodeID) (primary bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Probe)
	defer cancel()
	s, err := d.Dial(ctx, node)
	if err != nil {
		return false, err
	}
	defer s.Close()
	f, err := s.Facts(ctx)
	return err == nil && !f.InRecovery, err
}
