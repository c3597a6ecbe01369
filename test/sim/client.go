package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/test/fakes/fakehost"
)

// client is a controller's, or a hook's, way to a node's agent.
type client struct {
	w    *World
	n    *node
	from place
	// old: it talks to the oldest living process, not the newest.
	old    bool
	actors map[string]*actor
	silent *actor
}

var _ agentapi.Agent = (*client)(nil)

// client makes one; old clients go to another process than new ones, where
// there are two.
func (w *World) client(name string, from place, n *node, old bool) *client {
	c := &client{w: w, n: n, from: from, old: old, actors: map[string]*actor{}}
	for _, m := range []string{"Inspect", "ProbeWAL", "RecordEnding", "Run", "Acquire", "StartRun", "Watch", "Clear",
		"Cancel", "Fence", "DropSlots", "Vault"} {
		c.actors[m] = w.actor(fmt.Sprintf("%s %s on node %d", name, m, n.ID))
	}
	// A person's word comes seldom, and never while the vault is asked about.
	c.actors["Instructions"], c.actors["Instruct"] = c.actors["Vault"], c.actors["Vault"]
	c.silent = w.actor(fmt.Sprintf("%s waits for agent %d", name, n.ID))
	return c
}

func (c *client) hang(ctx context.Context) error {
	if err := c.silent.waitIn(ctx, 2*silence, 2*silence+time.Second); err != nil {
		return err
	}
	return errTimeout
}

// call carries one call there and back. The call has its effect even where its
// answer is lost.
func call[T any](ctx context.Context, c *client, method string, f func(a *agent.Agent) (T, error)) (out T, err error) {
	w, by := c.w, c.actors[method]
	if err := by.waitIn(ctx, w.latency, 3*w.latency); err != nil {
		return out, err
	}
	w.mu.Lock()
	w.now(by)
	p := c.n.agentAt(c.old)
	lost := w.cut(c.from, c.n.place()) || !c.n.Up
	w.mu.Unlock()
	switch {
	case lost:
		return out, c.hang(ctx)
	case p == nil:
		return out, fakehost.ErrRefused
	}
	got, err := f(p.agent)
	w.mu.Lock()
	lost = w.cut(c.n.place(), c.from) || !c.n.Up
	dead := p.dead
	w.did(by, method)
	w.mu.Unlock()
	switch {
	case lost:
		return out, c.hang(ctx)
	case dead:
		return out, errLost
	}
	return got, err
}

// Inspect and the other questions pass on.
func (c *client) Inspect(ctx context.Context) (topology.Inspection, error) {
	return call(ctx, c, "Inspect", func(a *agent.Agent) (topology.Inspection, error) { return a.Inspect(ctx) })
}

// ProbeWAL reads WAL, which takes longer.
func (c *client) ProbeWAL(ctx context.Context, h topology.History) (topology.WALProbe, error) {
	return call(ctx, c, "ProbeWAL", func(a *agent.Agent) (topology.WALProbe, error) { return a.ProbeWAL(ctx, h) })
}

// RecordEnding passes on.
func (c *client) RecordEnding(ctx context.Context, lsn topology.LSN) (topology.WALRecord, error) {
	return call(ctx, c, "RecordEnding", func(a *agent.Agent) (topology.WALRecord, error) {
		return a.RecordEnding(ctx,
			lsn)
	})
}

// Run passes on.
func (c *client) Run(ctx context.Context, id string) (topology.RunState, error) {
	return call(ctx, c, "Run", func(a *agent.Agent) (topology.RunState, error) { return a.Run(ctx, id) })
}

// Vault passes on.
func (c *client) Vault(ctx context.Context) ([]topology.VaultEntry, error) {
	return call(ctx, c, "Vault", func(a *agent.Agent) ([]topology.VaultEntry, error) { return a.Vault(ctx) })
}

// Instructions passes on.
func (c *client) Instructions(ctx context.Context) (topology.Instructions, error) {
	return call(ctx, c, "Instructions", func(a *agent.Agent) (topology.Instructions, error) { return a.Instructions(ctx) })
}

// Instruct passes on.
func (c *client) Instruct(ctx context.Context, i topology.Instruction) (topology.Instructions, error) {
	return call(ctx, c, "Instruct", func(a *agent.Agent) (topology.Instructions, error) { return a.Instruct(ctx, i) })
}

// VaultReport is not asked for here.
func (c *client) VaultReport(context.Context, string) ([]byte, error) {
	return nil, fakehost.ErrRefused
}

// Acquire passes on.
func (c *client) Acquire(ctx context.Context, holder string) (topology.Token, error) {
	return call(ctx, c, "Acquire", func(a *agent.Agent) (topology.Token, error) { return a.Acquire(ctx, holder) })
}

// stale looks, after an order was carried out, whether a newer token had been
// given out before it came (P6).
func (c *client) stale(what string, token topology.Token, f func() error) error {
	c.w.mu.Lock()
	newest := c.n.disk.grant.Token
	c.w.mu.Unlock()
	err := f()
	if err == nil && token < newest {
		c.w.mu.Lock()
		c.w.violate("P6", "%s on node %d is accepted with token %d, the newest is %d", what, c.n.ID, token, newest)
		c.w.mu.Unlock()
	}
	return err
}

type none struct{}

func (c *client) order(ctx context.Context, what string, token topology.Token, f func(a *agent.Agent) error) error {
	_, err := call(ctx, c, what, func(a *agent.Agent) (none, error) {
		return none{}, c.stale(what, token, func() error { return f(a) })
	})
	return err
}

// StartRun passes on.
func (c *client) StartRun(ctx context.Context, req topology.RunRequest) error {
	return c.order(ctx, "StartRun", req.Token, func(a *agent.Agent) error { return a.StartRun(ctx, req) })
}

// Clear passes on.
func (c *client) Clear(ctx context.Context, token topology.Token, id, step string) error {
	return c.order(ctx, "Clear", token, func(a *agent.Agent) error {
		err := a.Clear(ctx, token, id, step)
		if err == nil {
			c.w.mu.Lock()
			c.w.cleared(c.n, id)
			c.w.mu.Unlock()
		}
		return err
	})
}

// Cancel passes on.
func (c *client) Cancel(ctx context.Context, token topology.Token, id string) error {
	return c.order(ctx, "Cancel", token, func(a *agent.Agent) error { return a.Cancel(ctx, token, id) })
}

// Fence passes on.
func (c *client) Fence(ctx context.Context, token topology.Token) (f topology.Fenced, err error) {
	err = c.order(ctx, "Fence", token, func(a *agent.Agent) error {
		var err error
		f, err = a.Fence(ctx, token)
		return err
	})
	return f, err
}

// DropSlots passes on.
func (c *client) DropSlots(ctx context.Context, token topology.Token, names []string) (dropped []string, err error) {
	err = c.order(ctx, "DropSlots", token, func(a *agent.Agent) error {
		var err error
		dropped, err = a.DropSlots(ctx, token, names)
		return err
	})
	return dropped, err
}

// Watch passes the states on until the way breaks or the process dies.
func (c *client) Watch(ctx context.Context, id string, see func(topology.RunState)) error {
	w, by := c.w, c.actors["Watch"]
	if err := by.waitIn(ctx, w.latency, 3*w.latency); err != nil {
		return err
	}
	w.mu.Lock()
	p := c.n.agentAt(c.old)
	lost := w.cut(c.from, c.n.place()) || !c.n.Up
	w.mu.Unlock()
	switch {
	case lost:
		return c.hang(ctx)
	case p == nil:
		return fakehost.ErrRefused
	}
	return c.forward(ctx, p, by, id, see)
}

// forward lets the agent tell a box, and the caller look into it a little after
// something new is there: how many states the agent tells at one instant does
// not matter then.
func (c *client) forward(ctx context.Context, p *agentProcess, by *actor, id string,
	see func(topology.RunState)) error {
	w := c.w
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.gone, cancel)()
	var mu sync.Mutex
	var newest topology.RunState
	news, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- p.agent.Watch(wctx, id, func(s topology.RunState) {
			mu.Lock()
			newest = s
			mu.Unlock()
			select {
			case news <- struct{}{}:
			default:
			}
		})
	}()
	var last error
	over := false
	for !over {
		select {
		case <-news:
		case last = <-ended:
			over = true
		}
		if by.waitIn(wctx, w.latency, 3*w.latency) != nil && !over {
			last = <-ended
			over = true
		}
		w.mu.Lock()
		lost := w.cut(c.n.place(), c.from) || p.dead
		w.mu.Unlock()
		if lost || wctx.Err() != nil {
			cancel()
			if !over {
				<-ended //nolint:errcheck // the answer is lost
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errLost
		}
		select {
		case <-news: // taken with this look
		default:
		}
		mu.Lock()
		s := newest
		mu.Unlock()
		if s.ID != "" {
			see(s)
		}
	}
	return last
}
