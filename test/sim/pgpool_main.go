package sim

import (
	"context"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
)

// main is the main process.
func (p *pgpool) main(ctx context.Context, a, child *actor) {
	found := p.search(ctx, a)
	p.w.mu.Lock()
	p.primary, p.silent = found, false
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
				p.failback(ctx, a, child, r)
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
		if r.Code == hook.CodePromoted {
			p.promoted.at, p.promoted.by, p.promoted.notes = time.Now(), r.Node, strings.Join(r.Notes, "\n")
		}
		p.w.mu.Unlock()
	}
	p.settle(ctx, a, child, old, id == old || old == topology.NoNode)
}

// hooks notes that a hook begins or ends, whose files controllers read.
func (p *pgpool) hooks(by int) {
	b := p.w.controllerHosts[0]
	p.w.mu.Lock()
	b.hooks += by
	p.w.mu.Unlock()
	b.wrote()
}

// failback puts a node in: nothing about it is checked.
func (p *pgpool) failback(ctx context.Context, a, child *actor, r request) {
	id := r.node
	p.w.mu.Lock()
	if p.nodes[id].attached() {
		p.w.mu.Unlock()
		return
	}
	p.set(id, topology.PoolWaiting)
	p.w.note("Pgpool-II attaches node %d", id)
	p.w.opens(r)
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
	p.w.goroutines.Go(func() { p.follow(ctx, child, found, old) })
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
		_, err := hook.FollowPrimary(ctx, p.hook, hook.Event{Failed: topology.NodeID(i), NewMain: primary, OldMain: old,
			OldPrimary: old, At: time.Now()})
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
			reached := n.Up && !p.w.cut(p.place(), n.place()) && !p.w.cut(n.place(), p.place())
			switch {
			case !reached || !n.Accepting():
			case n.Server.Primary:
				primaries = append(primaries, n.ID)
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
		frozen := n.Up && n.Server != nil && n.Server.Frozen
		p.w.mu.Unlock()
		if !frozen {
			return nil
		}
		if err := a.waitIn(ctx, 500*time.Millisecond, 600*time.Millisecond); err != nil {
			return err
		}
	}
}
