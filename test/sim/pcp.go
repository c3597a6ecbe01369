package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// door is one controller's PCP connection.
type door struct {
	p     *pgpool
	b     *controllerHost
	reads *actor
	// sends are actors by node and request: acts on several nodes go side by side.
	sends  map[request]*actor
	silent *actor
}

func (p *pgpool) door(name string, b *controllerHost) *door {
	d := &door{p: p, b: b, reads: p.w.actor(name + " PCP reads"), sends: map[request]*actor{},
		silent: p.w.actor(name + " PCP silent")}
	for _, n := range p.w.nodes {
		d.sends[request{node: n.ID, attach: true}] = p.w.actor(fmt.Sprintf("%s PCP attach %d", name, n.ID))
		d.sends[request{node: n.ID}] = p.w.actor(fmt.Sprintf("%s PCP detach %d", name, n.ID))
	}
	return d
}

var errPCP = errors.New("PCP does not answer")

// knock says whether PCP answers; it waits where it does not.
func (d *door) knock(ctx context.Context, a *actor) error {
	w := d.p.w
	if err := a.waitIn(ctx, w.latency/2, w.latency); err != nil {
		return err
	}
	w.mu.Lock()
	w.now(a)
	up, unready := d.p.up, d.p.silent
	cut := w.cut(d.b.place, d.p.place()) || w.cut(d.p.place(), d.b.place)
	w.mu.Unlock()
	switch {
	case !up && !cut:
		return errPCP
	case cut || unready:
		if err := d.silent.waitIn(ctx, silence, silence+time.Second); err != nil {
			return err
		}
		return errPCP
	}
	return nil
}

// Endpoint names it.
func (d *door) Endpoint() string { return "pgpool" }

// View reads the status of every node.
func (d *door) View(ctx context.Context) topology.PoolView {
	v := topology.PoolView{Endpoint: d.Endpoint(), Primary: topology.NoNode}
	if err := d.knock(ctx, d.reads); err != nil {
		v.Err, v.At = err.Error(), time.Now()
		return v
	}
	w := d.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	v.At, v.Primary = time.Now(), d.p.primary
	for i, n := range d.p.nodes {
		role := "standby"
		if topology.NodeID(i) == v.Primary {
			role = "primary"
		}
		v.Nodes = append(v.Nodes, topology.PoolNode{ID: topology.NodeID(i), Status: n.status, Role: role,
			LastChange: n.changed})
	}
	if d.p.watchdog {
		v.Watchdog = topology.Watchdog{Enabled: true, Leader: d.b.leads, Quorum: 1, State: "LEADER"}
	}
	return v
}

// Detail has nothing to tell: nothing is decided by it.
func (d *door) Detail(context.Context) topology.PoolDetail {
	return topology.PoolDetail{Source: topology.Source{Err: "not simulated"}}
}

// Attach and Detach are queued.
func (d *door) Attach(ctx context.Context, id topology.NodeID) error { return d.send(ctx, id, true) }

// Detach is refused for a node that is down.
func (d *door) Detach(ctx context.Context, id topology.NodeID) error { return d.send(ctx, id, false) }

func (d *door) send(ctx context.Context, id topology.NodeID, attach bool) error {
	r := request{node: id, attach: attach}
	if err := d.knock(ctx, d.sends[r]); err != nil {
		return err
	}
	w := d.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	what := "detach"
	if attach {
		what = "attach"
		w.attaches(d.b, id)
		w.dieUnder(w.nodes[id])
	} else if !d.p.nodes[id].attached() {
		return errors.New("invalid node: it is down")
	} else {
		w.detaches(d.b, id)
	}
	w.note("controller %d asks Pgpool-II to %s node %d", d.b.number, what, id)
	d.p.enqueue(request{node: id, attach: attach, asked: time.Now()})
	w.did(d.sends[r], what)
	return nil
}
