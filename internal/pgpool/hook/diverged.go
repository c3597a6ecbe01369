package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// stopDiverged stops the servers of detached standbys that hold WAL of the lost
// primary which the new primary does not have.
//
// Pgpool-II works off its requests one by one, and none can be withdrawn
// (pgpool-II 4.3.5, pgpool_main.c). If an attach of such a node is queued when
// the primary fails, Pgpool-II executes it as soon as the hook returns, and
// clients would read rows that are lost. A stopped server shows them nothing, and
// this one has to be rewound anyway. A node on hold is left alone, and so is an
// attached one: Pgpool-II detaches that itself.
//
// now is what the new primary says of itself. Limits.Diverged bounds all of it,
// since nobody is served meanwhile.
func (d *Deps) stopDiverged(ctx context.Context, p *probes, primary topology.NodeID, now Facts) []string {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Diverged)
	defer cancel()
	notes := make([]string, len(p.views))
	var all sync.WaitGroup
	for i, v := range p.views {
		if s := p.servers[v.node]; s != nil && v.err == nil && !v.attached && v.node != primary {
			all.Go(func() { notes[i] = d.stopIfDiverged(ctx, s, v.node, now) })
		}
	}
	all.Wait()
	return slices.DeleteFunc(notes, func(n string) bool { return n == "" })
}

// stopIfDiverged stops one node. The note is empty if it has not diverged.
func (d *Deps) stopIfDiverged(ctx context.Context, s Server, node topology.NodeID, primary Facts) (note string) {
	ask := func() (pos topology.LSN, diverged bool, err error) {
		f, err := s.Facts(ctx)
		diverged = f.InRecovery && f.SystemID == primary.SystemID &&
			relate(f.History, f.Position(), primary.History) == offLine
		return f.Position(), diverged, err
	}
	pos, diverged, err := ask()
	switch {
	case err != nil:
		return fmt.Sprintf("detached standby %s no longer answers, so it is unknown whether it has diverged: %v", node, err)
	case !diverged:
		return ""
	}
	switch held, err := d.held(ctx, node); {
	case err != nil:
		return fmt.Sprintf("detached standby %s has diverged, at %s; left running, since it may be on hold: %v",
			node, pos, err)
	case held:
		return fmt.Sprintf("detached standby %s has diverged, at %s; left running, since it is on hold", node, pos)
	}
	begun := time.Now()
	how, err := d.askFence(ctx, node, func() bool {
		_, diverged, err := ask()
		return err == nil && !diverged // one that stops answering had diverged a moment ago
	})
	switch {
	case errors.Is(err, errSpared):
		return ""
	case err != nil:
		return fmt.Sprintf("detached standby %s has diverged, at %s, and was not stopped: %v", node, pos, err)
	}
	return fmt.Sprintf("detached standby %s had diverged, at %s: stopped (%s) in %s, so that a queued attach shows no "+
		"lost rows",
		node, pos, how.Mode, time.Since(begun).Round(time.Millisecond))
}

// held says whether the node is on hold: by its own agent, which keeps what any
// controller was told, or by this host's controller, which also knows what no agent
// keeps yet. An agent that does not answer leaves it to the controller.
func (d *Deps) held(ctx context.Context, node topology.NodeID) (bool, error) {
	if d.Agent != nil {
		if a, err := d.Agent(node); err == nil {
			short, cancel := context.WithTimeout(ctx, d.Limits.FenceDead)
			in, err := a.Instructions(short)
			cancel()
			if _, held := in.Held(time.Now()); err == nil && held {
				return true, nil
			}
		}
	}
	if d.Held == nil {
		return false, nil
	}
	return d.Held(node)
}
