package sim

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/test/fakes/fakehost"
)

// agentProcess is one process of a node's agent. There may be several at once:
// over ssh each controller has its own.
type agentProcess struct {
	n     *node
	name  string
	agent *agent.Agent
	acts  *actor
	links []*link // to each node
	// locking is the actor that waits for the node's lock.
	locking *actor
	// dead: its acts have no effect any more. gone ends with it.
	dead bool
	gone context.Context
	end  context.CancelFunc
	done chan struct{} // Serve has returned
	// child is the program it has started, run the run it has under way.
	child, run string
	// diesAt is the point of the engine at which it is killed.
	diesAt string
}

// die is SIGKILL. w.mu is held.
func (p *agentProcess) die() {
	if p.dead {
		return
	}
	p.dead = true
	if p.child != "" && p.n.Up {
		p.n.Stray = p.child
	}
	p.child, p.run = "", ""
	p.end()
}

// startAgent starts an agent process. Only the world's own goroutine may call it.
func (w *World) startAgent(n *node) {
	w.mu.Lock()
	if !n.Up {
		w.mu.Unlock()
		return
	}
	p := &agentProcess{n: n, name: fmt.Sprintf("agent %d.%d", n.ID, len(n.agents)+1), done: make(chan struct{}),
		diesAt: n.nextDiesAt}
	w.mu.Unlock()
	p.acts, p.locking = w.actor(p.name), w.actor(p.name+" lock")
	p.gone, p.end = context.WithCancel(w.life)
	h := &fakehost.Host{Pool: w.Pool, Node: n.Node, Process: p}
	for _, m := range w.nodes {
		p.links = append(p.links, w.link(fmt.Sprintf("%s to node %d", p.name, m.ID), n.place(), m))
	}
	w.mu.Lock()
	n.agents = append(n.agents, p)
	w.mu.Unlock()
	k := workDir{p}
	w.goroutines.Go(func() {
		defer close(p.done)
		a, err := agent.New(agent.Options{Node: n.ID, Keep: &agent.WorkDir{Journal: k, Grants: grants{k}, Lock: k,
			Told: told{k}},
			Host: h, Upstream: fakehost.Upstream{Pool: w.Pool, Process: p},
			Version: "sim", Log: w.log, KeepEvery: 20 * time.Second, ShutdownLimit: 10 * time.Second, Points: p.point})
		if err != nil {
			w.mu.Lock()
			p.die()
			w.mu.Unlock()
			return
		}
		w.mu.Lock()
		p.agent = a
		w.mu.Unlock()
		_ = a.Serve(p.gone) // a dead process's last words
	})
}

// point is the engine at one of its crash points.
func (p *agentProcess) point(name string) {
	w := p.n.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cover.point(name)
	if p.diesAt != "" && !p.dead && (p.diesAt == name || matches(p.diesAt, name)) {
		w.note("node %d: its agent dies at %s", p.n.ID, name)
		p.n.nextDiesAt = ""
		p.die()
	}
}

// matches lets a pattern stand for a point: "*:after" is the first such point.
func matches(pattern, name string) bool {
	return len(pattern) > 1 && pattern[0] == '*' && len(name) >= len(pattern)-1 &&
		name[len(name)-len(pattern)+1:] == pattern[1:]
}

// agentAt is the newest living agent process of a node, or with old the oldest.
func (n *node) agentAt(old bool) *agentProcess {
	var found *agentProcess
	for _, p := range n.agents {
		if !p.dead && p.agent != nil && (found == nil || !old) {
			found = p
		}
	}
	return found
}

// discard is a logger that formats nothing.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
