package sim

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
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
	// asked is when a controller asked for it; zero: Pgpool-II itself, or a person.
	asked time.Time
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
	// up: it runs; silent: PCP does not answer yet, since it looks for a primary.
	up, silent bool
	// following: a follow_primary child is at work.
	following bool
	hook      hook.Deps
	// killHook ends the next failover hook half-way.
	killHook bool
	watchdog bool
	// detachFalse is detach_false_primary.
	detachFalse bool
	// promoted is the last failover that a hook brought to its end.
	promoted struct {
		at    time.Time
		by    topology.NodeID // the new primary
		notes string          // what the hook said
	}
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
	p := &pgpool{w: w, primary: topology.NoNode, nodes: make([]backend, len(w.nodes)), attachedAtFailover: make([]bool,
		len(w.nodes))}
	for i := range p.nodes {
		p.nodes[i] = backend{topology.PoolWaiting, w.begun}
	}
	return p
}

// start starts it. Without its status file every node begins as attached. Only
// the world's own goroutine may call it.
func (p *pgpool) start(forget bool) {
	w := p.w
	if p.done != nil {
		<-p.done
	}
	p.started++
	w.mu.Lock()
	p.up, p.silent, p.following, p.queue, p.wake = true, true, false, nil, make(chan struct{}, 1)
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
	w.goroutines.Go(func() {
		defer close(done)
		p.main(ctx, main, child)
	})
	for i, a := range checks {
		w.goroutines.Go(func() { p.health(ctx, a, w.nodes[i]) })
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

// isFalse says that n is a primary beside Pgpool-II's own, which all attached standbys
// stream from. w.mu is held.
func (p *pgpool) isFalse(n *node) bool {
	if !p.detachFalse || !p.nodes[n.ID].attached() || !n.Writes() || p.primary < 0 || p.primary == n.ID ||
		!p.nodes[p.primary].attached() || !p.w.nodes[p.primary].Writes() {
		return false
	}
	standbys := 0
	for _, m := range p.w.nodes {
		if !p.nodes[m.ID].attached() || !m.Accepting() || m.Server.Primary {
			continue
		}
		if !m.Server.Streaming || m.Server.From != p.primary {
			return false
		}
		standbys++
	}
	return standbys > 0
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
		ok := n.Accepting() && !p.w.cut(p.place(), n.place()) && !p.w.cut(n.place(), p.place())
		failed++
		if ok {
			failed = 0
		}
		if failed > 1 && p.nodes[n.ID].attached() {
			p.w.note("Pgpool-II finds node %d dead", n.ID)
			p.enqueue(request{node: n.ID})
			failed = 0
		}
		if ok && p.isFalse(n) {
			p.w.note("Pgpool-II finds that node %d is a false primary", n.ID)
			p.enqueue(request{node: n.ID})
		}
		p.w.mu.Unlock()
	}
}
