package sim

import (
	"context"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/test/fakes/fakehost"
)

var _ fakehost.Process = (*agentProcess)(nil)

// Look calls f, if the process is alive.
func (p *agentProcess) Look(f func() error) error {
	p.n.w.mu.Lock()
	defer p.n.w.mu.Unlock()
	if p.dead {
		return errDead
	}
	return f()
}

// Act makes one change that takes that long before it is there.
func (p *agentProcess) Act(op string, took time.Duration, parts ...func() error) error {
	w := p.n.w
	p.acts.wait(took/2, took)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now(p.acts)
	err := p.begin(op)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err == nil {
			err = part()
		}
	}
	w.did(p.acts, op)
	return err
}

// begin is the start of a change. Two processes must not change one node (P6), and nobody may while a dead one's
// program is still at work (hazard 7).
func (p *agentProcess) begin(op string) error {
	w, n := p.n.w, p.n
	if p.dead || !n.Up {
		return errDead
	}
	if n.Stray != "" && op != "KillLeftovers" {
		w.violate("P4", "%s on node %d while the %s of a dead agent still runs", op, n.ID, n.Stray)
	}
	for _, q := range n.agents {
		if q != p && !q.dead && q.run != "" {
			w.violate("P6", "agent process %s does %s on node %d in the middle of run %s of process %s", p.name, op, n.ID, q.run,
				q.name)
		}
	}
	return nil
}

// Work runs a program in three stretches.
func (p *agentProcess) Work(ctx context.Context, pr fakehost.Program, see resync.Progress) error {
	if err := p.Act(pr.Name, 20*time.Millisecond, pr.Begin, func() error {
		p.n.Stray, p.child = "", pr.Name
		return nil
	}); err != nil {
		return err
	}
	for i := range uint64(3) {
		if err := p.stretch(ctx, pr); err != nil {
			return err
		}
		if see != nil {
			see((i+1)<<20, 3<<20)
		}
	}
	return p.Act(pr.Name+" ends", 10*time.Millisecond, func() error {
		p.child = ""
		return pr.End()
	})
}

// stretch is a third of a program's time. A program that fails is gone; that of a dead process goes on.
func (p *agentProcess) stretch(ctx context.Context, pr fakehost.Program) error {
	err := p.acts.waitIn(ctx, pr.Took/6, pr.Took/2)
	w := p.n.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now(p.acts)
	if p.dead {
		return errDead
	}
	if err == nil {
		err = pr.Half()
	}
	if err != nil {
		p.child = ""
	}
	return err
}

// Wait lets time go by.
func (p *agentProcess) Wait(ctx context.Context, lo, hi time.Duration) error {
	return p.acts.waitIn(ctx, lo, hi)
}

// Ask puts a question over the process's connection to that node.
func (p *agentProcess) Ask(ctx context.Context, node topology.NodeID, what string,
	act func(*fakehost.Server) error) error {
	if p.dead {
		return errDead
	}
	return p.links[node].ask(ctx, what, act)
}

// Confirmed notes what P2 is judged by.
func (p *agentProcess) Confirmed(node topology.NodeID) {
	p.n.confirmed, p.n.confirmedOf = time.Now(), node
}
