package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/repool/repool/internal/hook"
	"github.com/repool/repool/internal/topology"
)

// backend is Pgpool-II's opinion of one node.
type backend struct {
	status  topology.PoolStatus
	changed time.Time
}

func (b backend) attached() bool {
	return b.status == topology.PoolUp || b.status == topology.PoolWaiting
}

// request is what waits in Pgpool-II's queue.
type request struct {
	node   topology.NodeID
	attach bool
}

// queueLength is Pgpool-II's own: what comes when it is full is dropped, and
// nobody is told.
const queueLength = 10

// pgpool is Pgpool-II, with one main process that does one thing at a time and
// waits for its hooks for ever.
type pgpool struct {
	w       *World
	nodes   []backend
	primary topology.NodeID
	queue   []request
	wake    chan struct{}
	// up: it runs; deaf: PCP does not answer yet, since it looks for a primary.
	up, deaf bool
	// following: a follow_primary child is at work.
	following bool
	hook      hook.Deps
	// killHook ends the next failover hook half-way.
	killHook bool
	watchdog bool
	// attachedAtFailover is who was attached when the last failover began.
	attachedAtFailover []bool

	stop    context.CancelFunc
	done    chan struct{}
	started int
}

// searchTimeout is search_primary_node_timeout, connectTimeout what a node that
// does not answer costs.
const (
	searchTimeout  = 20 * time.Second
	connectTimeout = 3 * time.Second
	healthPeriod   = 2 * time.Second
)

func (p *pgpool) place() place { return pgpoolPlace }

func newPgpool(w *World) *pgpool {
	p := &pgpool{w: w, primary: topology.NoNode, nodes: make([]backend, len(w.nodes)), attachedAtFailover: make([]bool, len(w.nodes))}
	for i := range p.nodes {
		p.nodes[i] = backend{topology.PoolWaiting, w.begun}
	}
	return p
}

// start starts it. Without its status file every node begins as attached. Only
// the world's own strand may call it.
func (p *pgpool) start(forget bool) {
	w := p.w
	if p.done != nil {
		<-p.done
	}
	p.started++
	w.mu.Lock()
	p.up, p.deaf, p.following, p.queue, p.wake = true, true, false, nil, make(chan struct{}, 1)
	p.primary = topology.NoNode
	any := false
	for i := range p.nodes {
		any = any || p.nodes[i].attached()
	}
	for i := range p.nodes {
		if forget || !any || p.nodes[i].attached() {
			p.nodes[i] = backend{topology.PoolWaiting, time.Now()}
		}
	}
	p.writeStatus()
	w.mu.Unlock()
	ctx, stop := context.WithCancel(w.life)
	done := make(chan struct{})
	p.stop, p.done = stop, done
	suffix := string(rune('a' + p.started%26))
	main := w.actor("pgpool " + suffix)
	var checks []*actor
	for range w.nodes {
		checks = append(checks, w.actor("pgpool "+suffix+" health "+string(rune('0'+len(checks)))))
	}
	child := w.actor("pgpool " + suffix + " follow")
	w.strands.Go(func() {
		defer close(done)
		p.main(ctx, main, child)
	})
	for i, a := range checks {
		w.strands.Go(func() { p.health(ctx, a, w.nodes[i]) })
	}
}

// kill ends it; its hooks end with it.
func (p *pgpool) kill() {
	p.w.mu.Lock()
	p.up = false
	p.w.mu.Unlock()
	if p.stop != nil {
		p.stop()
	}
}

// writeStatus writes pgpool_status, which hooks read. w.mu is held.
func (p *pgpool) writeStatus() {
	var b strings.Builder
	for _, n := range p.nodes {
		if n.attached() {
			b.WriteString("up\n")
		} else {
			b.WriteString("down\n")
		}
	}
	if err := os.WriteFile(filepath.Join(p.w.scratch, "pgpool_status"), []byte(b.String()), 0o600); err != nil {
		p.w.violate("world", "pgpool_status: %v", err)
	}
}

func (p *pgpool) set(id topology.NodeID, st topology.PoolStatus) {
	p.nodes[id] = backend{st, time.Now()}
	p.writeStatus()
}

// enqueue takes a request, or drops it.
func (p *pgpool) enqueue(r request) {
	if !p.up || len(p.queue) >= queueLength {
		return
	}
	p.queue = append(p.queue, r)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// health is the health check process of one node.
func (p *pgpool) health(ctx context.Context, a *actor, n *node) {
	failed := 0
	for {
		if a.waitIn(ctx, healthPeriod, healthPeriod+100*time.Millisecond) != nil {
			return
		}
		p.w.mu.Lock()
		p.w.now(a)
		ok := n.accepting() && !p.w.cut(p.place(), n.place()) && !p.w.cut(n.place(), p.place())
		failed++
		if ok {
			failed = 0
		}
		if failed > 1 && p.nodes[n.id].attached() {
			p.w.note("Pgpool-II finds node %d dead", n.id)
			p.enqueue(request{node: n.id})
			failed = 0
		}
		p.w.mu.Unlock()
	}
}

// main is the main process.
func (p *pgpool) main(ctx context.Context, a, child *actor) {
	found := p.search(ctx, a)
	p.w.mu.Lock()
	p.primary, p.deaf = found, false
	p.w.note("Pgpool-II is up, its primary is node %s", found)
	p.w.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for {
			if a.waitIn(ctx, time.Millisecond, 5*time.Millisecond) != nil {
				return
			}
			p.w.mu.Lock()
			p.w.now(a)
			if len(p.queue) == 0 {
				p.w.mu.Unlock()
				break
			}
			r := p.queue[0]
			p.queue = p.queue[1:]
			p.w.mu.Unlock()
			if r.attach {
				p.failback(ctx, a, child, r.node)
			} else {
				p.failover(ctx, a, child, r.node)
			}
		}
		if a.waitIn(ctx, time.Second, time.Second) != nil { // it renews its PCP listener
			return
		}
	}
}

// failover takes a node out, and runs the hook for it.
func (p *pgpool) failover(ctx context.Context, a, child *actor, id topology.NodeID) {
	p.w.mu.Lock()
	if !p.nodes[id].attached() {
		p.w.mu.Unlock()
		return
	}
	p.set(id, topology.PoolDown)
	old := p.primary
	e := hook.Event{Failed: id, NewMain: topology.NoNode, OldMain: 0, OldPrimary: old, At: time.Now()}
	for i, n := range p.nodes {
		if n.attached() {
			e.NewMain = topology.NodeID(i)
			break
		}
	}
	for i, n := range p.nodes {
		p.attachedAtFailover[i] = n.attached()
	}
	killed := p.killHook
	p.killHook = false
	p.w.note("Pgpool-II takes node %d out; its primary was node %s", id, old)
	p.w.mu.Unlock()
	hctx := ctx
	if killed {
		var cancel context.CancelFunc
		hctx, cancel = context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
	}
	times := 1
	if p.w.hooksTwice || p.w.hooksAlwaysTwice {
		times = 2
	}
	for range times {
		p.hooks(1)
		r, err := hook.Failover(hctx, p.hook, e)
		p.hooks(-1)
		p.w.mu.Lock()
		p.w.note("hook: %s: %s (%v)", r.Code, r.Text, err)
		p.w.cover.hooks[string(r.Code)]++
		p.w.mu.Unlock()
	}
	p.settle(ctx, a, child, old, id == old || old == topology.NoNode)
}

// hooks notes that a hook begins or ends, whose files controllers read.
func (p *pgpool) hooks(by int) {
	b := p.w.brains[0]
	p.w.mu.Lock()
	b.hooks += by
	p.w.mu.Unlock()
	b.wrote()
}

// failback puts a node in: nothing about it is checked.
func (p *pgpool) failback(ctx context.Context, a, child *actor, id topology.NodeID) {
	p.w.mu.Lock()
	if p.nodes[id].attached() {
		p.w.mu.Unlock()
		return
	}
	p.set(id, topology.PoolWaiting)
	p.w.note("Pgpool-II attaches node %d", id)
	old := p.primary
	p.w.mu.Unlock()
	p.settle(ctx, a, child, old, true)
}

// settle finds the primary again after a change, and has the others follow a
// new one.
func (p *pgpool) settle(ctx context.Context, a, child *actor, old topology.NodeID, look bool) {
	p.w.mu.Lock()
	following := p.following
	p.w.mu.Unlock()
	found := old
	if look && !following {
		found = p.search(ctx, a)
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	p.primary = found
	lost := old == topology.NoNode || !p.nodes[old].attached()
	if !look || found < 0 || !lost || found == old || following {
		return
	}
	p.w.note("Pgpool-II's primary is node %d now: it marks all others down", found)
	for i := range p.nodes {
		if id := topology.NodeID(i); id != found && p.nodes[i].attached() {
			p.set(id, topology.PoolDown)
		}
	}
	p.following = true
	p.w.strands.Go(func() { p.follow(ctx, child, found, old) })
}

// follow is the child that calls follow_primary_command, one node after the other.
func (p *pgpool) follow(ctx context.Context, a *actor, primary, old topology.NodeID) {
	for i := range p.nodes {
		if a.waitIn(ctx, 10*time.Millisecond, 30*time.Millisecond) != nil {
			break
		}
		p.w.mu.Lock()
		down := !p.nodes[i].attached()
		p.w.mu.Unlock()
		if !down {
			continue
		}
		p.hooks(1)
		_, err := hook.FollowPrimary(ctx, p.hook, hook.Event{Failed: topology.NodeID(i), NewMain: primary, OldMain: old, OldPrimary: old, At: time.Now()})
		p.hooks(-1)
		if err != nil && ctx.Err() == nil {
			p.w.mu.Lock()
			p.w.note("follow hook: %v", err)
			p.w.mu.Unlock()
		}
	}
	p.w.mu.Lock()
	p.following = false
	p.w.mu.Unlock()
}

// search asks every attached node whether it is a primary, again and again, up
// to its timeout. A frozen node holds it up without any. Of two primaries the
// highest id wins where there is a standby too, and else the lowest.
func (p *pgpool) search(ctx context.Context, a *actor) topology.NodeID {
	until := time.Now().Add(searchTimeout)
	for {
		var primaries []topology.NodeID
		standby := false
		for i, n := range p.w.nodes {
			if a.waitIn(ctx, p.w.latency, 2*p.w.latency) != nil {
				return topology.NoNode
			}
			p.w.mu.Lock()
			asked := p.nodes[i].attached()
			p.w.mu.Unlock()
			if !asked || p.thaw(ctx, a, n) != nil {
				continue
			}
			p.w.mu.Lock()
			reached := n.up && !p.w.cut(p.place(), n.place()) && !p.w.cut(n.place(), p.place())
			switch {
			case !reached || !n.accepting():
			case n.srv.primary:
				primaries = append(primaries, n.id)
			default:
				standby = true
			}
			p.w.mu.Unlock()
			if !reached && a.waitIn(ctx, connectTimeout, connectTimeout) != nil {
				return topology.NoNode
			}
		}
		if len(primaries) > 0 {
			if standby {
				return primaries[len(primaries)-1]
			}
			return primaries[0]
		}
		if time.Now().After(until) || a.waitIn(ctx, time.Second, time.Second) != nil {
			return topology.NoNode
		}
	}
}

// thaw waits while a node is frozen: its kernel takes the connection, and
// nobody answers.
func (p *pgpool) thaw(ctx context.Context, a *actor, n *node) error {
	for {
		p.w.mu.Lock()
		frozen := n.up && n.srv != nil && n.srv.frozen
		p.w.mu.Unlock()
		if !frozen {
			return nil
		}
		if err := a.waitIn(ctx, 500*time.Millisecond, 600*time.Millisecond); err != nil {
			return err
		}
	}
}

// door is one controller's PCP connection.
type door struct {
	p     *pgpool
	b     *brain
	reads *actor
	// sends are strands by node and request: acts on several nodes go side by side.
	sends  map[request]*actor
	silent *actor
}

func (p *pgpool) door(name string, b *brain) *door {
	d := &door{p: p, b: b, reads: p.w.actor(name + " PCP reads"), sends: map[request]*actor{}, silent: p.w.actor(name + " PCP silent")}
	for _, n := range p.w.nodes {
		d.sends[request{n.id, true}] = p.w.actor(fmt.Sprintf("%s PCP attach %d", name, n.id))
		d.sends[request{n.id, false}] = p.w.actor(fmt.Sprintf("%s PCP detach %d", name, n.id))
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
	up, deaf := d.p.up, d.p.deaf
	cut := w.cut(d.b.place, d.p.place()) || w.cut(d.p.place(), d.b.place)
	w.mu.Unlock()
	switch {
	case !up && !cut:
		return errPCP
	case cut || deaf:
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
		v.Nodes = append(v.Nodes, topology.PoolNode{ID: topology.NodeID(i), Status: n.status, Role: role, LastChange: n.changed})
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
	} else if !d.p.nodes[id].attached() {
		return errors.New("invalid node: it is down")
	}
	w.note("controller %d asks Pgpool-II to %s node %d", d.b.number, what, id)
	d.p.enqueue(r)
	w.did(d.sends[r], what)
	return nil
}
