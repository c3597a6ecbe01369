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

// strays stops the servers of detached standbys that hold WAL of the lost
// primary which the new one's line does not have.
//
// Pgpool-II works off one request after the other, and none can be taken back
// (pgpool-II 4.3.5, pgpool_main.c). An attach of such a node can have been asked
// for while all was well, and wait behind the failure of the primary: it is
// carried out as soon as the hook returns, and clients would read rows that are
// gone. A stopped server shows them nothing, and this one has to be rewound in
// any case. A held node is left alone, and one that Pgpool-II routes to: it will
// detach that itself.
//
// is is what the primary says of itself. All is bounded by Limits.Stray, since
// nobody is served meanwhile.
func (d *Deps) strays(ctx context.Context, p *probes, primary topology.NodeID, is Facts) []string {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Stray)
	defer cancel()
	notes := make([]string, len(p.views))
	var all sync.WaitGroup
	for i, v := range p.views {
		if s := p.servers[v.node]; s != nil && v.err == nil && !v.attached && v.node != primary {
			all.Go(func() { notes[i] = d.stray(ctx, s, v.node, is) })
		}
	}
	all.Wait()
	return slices.DeleteFunc(notes, func(n string) bool { return n == "" })
}

// stray stops one, if it is one; the note is empty if not.
func (d *Deps) stray(ctx context.Context, s Server, node topology.NodeID, primary Facts) (note string) {
	left := func() (topology.LSN, bool, error) {
		f, err := s.Facts(ctx)
		return f.Position(), f.InRecovery && f.SystemID == primary.SystemID &&
			relate(f.History, f.Position(), primary.History) == offLine, err
	}
	pos, lost, err := left()
	switch {
	case err != nil:
		return fmt.Sprintf("detached standby %s has answered and does so no more: whether it is on the lost line is not known: %v", node, err)
	case !lost:
		return ""
	}
	if d.Held != nil {
		held, err := d.Held(node)
		switch {
		case err != nil:
			return fmt.Sprintf("detached standby %s is at %s, on the lost line: left running, since it may be held: %v", node, pos, err)
		case held:
			return fmt.Sprintf("detached standby %s is at %s, on the lost line: left running, since it is held", node, pos)
		}
	}
	begun := time.Now()
	how, err := d.askFence(ctx, node, func() bool {
		_, lost, err := left()
		return err == nil && !lost // who does not answer now was on it a moment ago
	})
	switch {
	case errors.Is(err, errSpared):
		return ""
	case err != nil:
		return fmt.Sprintf("detached standby %s is at %s, on the lost line, and was not stopped: %v", node, pos, err)
	}
	return fmt.Sprintf("detached standby %s was at %s, on the lost line: stopped (%s) in %s, so that an attach asked for earlier shows nothing of it",
		node, pos, how.Mode, time.Since(begun).Round(time.Millisecond))
}
