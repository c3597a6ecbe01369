package hook

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// askAgain is how long a requested promotion may take to begin before it is requested again.
const askAgain = 100 * time.Millisecond

// backWithin bounds the last question to an old primary that could not be stopped:
// one that serves answers in milliseconds, and the pool waits while a dead one is asked.
const backWithin = 300 * time.Millisecond

// holder is the name under which a failover takes a node from its agent.
const holder = "failover hook"

// fence stops the old primary, so that the pool cannot have two. ok is false only
// when it is proven to run as a primary, or to be starting or shutting down, and cannot
// be stopped. A host that does not
// answer cannot be fenced from here; the note says so, and the controller fences it
// when it comes back. stopped says that the server was running until now.
func (d *Deps) fence(ctx context.Context, node topology.NodeID, probed func() view) (note string, ok, stopped bool) {
	begun := time.Now()
	how, err := d.askFence(ctx, node, func() bool {
		v := probed()
		return v.err == nil && v.facts.InRecovery
	})
	switch {
	case errors.Is(err, errSpared):
		return fmt.Sprintf("old primary %s runs as a standby: left running", node), true, false
	case err == nil:
		return fenceNote(node, how), true, how.WasRunning
	}
	v := probed()
	if v.err != nil && time.Since(begun) > answersAge {
		// That answer is older than the attempt to stop it: it may be back by now.
		short, cancel := context.WithTimeout(ctx, backWithin)
		defer cancel()
		primary, perr := d.alive(short, node)
		v.err = perr
		v.facts.InRecovery = !primary
	}
	if v.err == nil && !v.facts.InRecovery {
		// It may have been stopped half way since.
		primary, perr := d.alive(ctx, node)
		if perr == nil && primary {
			return fmt.Sprintf("old primary %s not fenced: %v", node, err), false, false
		}
		v.err = perr
	}
	if busyServer(v.err) {
		return fmt.Sprintf("old primary %s not fenced (%v), and it is starting or shutting down", node, err), false, false
	}
	return fmt.Sprintf("old primary %s not fenced (%v), and not seen running as a primary (%v)",
		node, err, v.err), true, false
}

func fenceNote(node topology.NodeID, how topology.Fenced) string {
	if !how.WasRunning {
		return fmt.Sprintf("old primary %s proven stopped", node)
	}
	return fmt.Sprintf("old primary %s stopped (%s) in %s", node, how.Mode, how.Took.Round(time.Millisecond))
}

// errSpared: by its own answer, the node must not be stopped.
var errSpared = errors.New("the node is to be left running")

// askFence has the node's agent stop its server, unless spare says not to. An
// agent that does not answer is given up soon; one that does gets the time to stop
// a server that hangs.
func (d *Deps) askFence(ctx context.Context, node topology.NodeID, spare func() bool) (topology.Fenced, error) {
	if d.Agent == nil {
		return topology.Fenced{}, errors.New("no agent known")
	}
	a, err := d.Agent(node)
	if err != nil {
		return topology.Fenced{}, err
	}
	short, cancel := context.WithTimeout(ctx, d.Limits.FenceDead)
	defer cancel()
	token, err := a.Acquire(short, holder)
	if err != nil {
		return topology.Fenced{}, err
	}
	if spare() {
		return topology.Fenced{}, errSpared
	}
	long, cancel := context.WithTimeout(ctx, d.Limits.FenceAlive)
	defer cancel()
	return a.Fence(long, token)
}

// promote makes v's node the primary and proves it: out of recovery, on a higher
// timeline than both it and the lost primary had. After an error without
// ErrNotAsked the node may still promote itself.
//
// A question that fails says nothing about the promotion, and a node that is stopped
// and passed over may have been promoted: so a statement that fails is repeated, and
// after a lost connection the node is asked once more over a new one. Its server may have
// been restarted, and has then forgotten the request: it is not repeated there, for by
// now the answers by which the node was chosen may be out of date.
func (d *Deps) promote(ctx context.Context, p *probes, v view, line topology.History) (topology.TimelineID, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Promote)
	defer cancel()
	s := p.servers[v.node]
	if err := s.Promote(ctx); err != nil {
		return 0, err
	}
	for asked := time.Now(); ; {
		tli, err := s.Timeline(ctx)
		if err != nil && postgres.SQLState(err) == "" {
			lost := err
			if tli, err = d.timelineAnew(ctx, p, v.node); err != nil || tli == 0 {
				return 0, fmt.Errorf("wait for the promotion: %w", lost)
			}
		}
		switch {
		case err != nil: // asked again below
		case tli > max(v.facts.History.TLI, behindOf(v, line)):
			return tli, nil
		case tli != 0:
			return 0, fmt.Errorf("out of recovery, but still on timeline %s", tli)
		}
		// A request is lost when it meets the end of a try to connect to the dead
		// primary: the server then sleeps for wal_retrieve_retry_interval, 5 s,
		// before it looks (seen on 15). Asking again wakes it, and is harmless.
		if time.Since(asked) > askAgain {
			_ = s.Promote(ctx) // the next question says what has become of the node
			asked = time.Now()
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return 0, fmt.Errorf("still in recovery after %s: %w", d.Limits.Promote, ctx.Err())
		}
	}
}

// timelineAnew asks a node for its timeline over a new connection, which takes the place of the lost one.
func (d *Deps) timelineAnew(ctx context.Context, p *probes, node topology.NodeID) (topology.TimelineID, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Probe)
	defer cancel()
	s, err := d.Dial(ctx, node)
	if err != nil {
		return 0, err
	}
	p.servers[node].Close()
	p.servers[node] = s
	return s.Timeline(ctx)
}

// behindOf is the line's timeline for a node on it, and zero for one behind it:
// such a node cannot know which numbers are taken.
func behindOf(v view, line topology.History) topology.TimelineID {
	if relate(v.facts.History, v.facts.Position(), line) == behind {
		return 0
	}
	return line.TLI
}

// settle prepares the new primary for the other nodes: their slots, before they ask
// for them; the record of the new primary; and a checkpoint, which is not waited
// for. Diverged standbys are stopped. None of it can undo the promotion, so
// failures are only notes.
func (d *Deps) settle(ctx context.Context, p *probes, node topology.NodeID) (notes []string) {
	s := p.servers[node]
	short, cancel := context.WithTimeout(ctx, d.Limits.Probe)
	defer cancel()
	fail := func(err error) {
		if err != nil {
			notes = append(notes, err.Error())
		}
	}
	fail(s.EnsureSlots(short, d.others(node)))
	f, err := s.Facts(short)
	fail(err)
	if err == nil {
		// Who is synchronous on the new primary nobody has seen yet.
		fail(NotePrimary(d.stateDir(), Primary{Node: node, SystemID: f.SystemID, History: f.History, At: time.Now(),
			Synchronous: topology.AnyCouldHold(f.SyncNames, d.otherNodes(node))}))
	}
	fail(d.checkpoint(short, s, node))
	if err == nil {
		notes = append(notes, d.stopDiverged(ctx, p, node, f)...)
	}
	return notes
}

func (d *Deps) otherNodes(node topology.NodeID) (ids []topology.NodeID) {
	for _, n := range d.Pool.Nodes {
		if n.ID != node {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// checkpoint requests one without waiting: through the controller, or else
// directly, at the price of a log line of the server about a lost client.
func (d *Deps) checkpoint(ctx context.Context, s Server, node topology.NodeID) error {
	if d.Control != nil {
		short, cancel := context.WithTimeout(ctx, d.Limits.Poke)
		defer cancel()
		if err := d.Control.Checkpoint(short, node); err == nil {
			return nil
		}
	}
	return s.Checkpoint(ctx)
}

// stopped makes sure that a candidate will not act on a requested promotion: its
// server is stopped by its agent, or refuses connections. A server that stops
// forgets the request.
func (d *Deps) stopped(ctx context.Context, node topology.NodeID) bool {
	if _, err := d.askFence(ctx, node, func() bool { return false }); err == nil {
		return true
	}
	_, err := d.alive(ctx, node)
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
