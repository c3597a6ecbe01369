package hook

import (
	"context"

	"github.com/repool/repool/internal/core/topology"
)

// Facts is what a node said of itself, as far as a failover needs it.
type Facts struct {
	InRecovery bool
	SystemID   topology.SystemID
	// History is the node's line. Without Ancestors on a timeline above 1 only
	// the number is known, since its history file could not be read.
	History topology.History
	// Receive and Replay are a standby's positions; zero: none.
	Receive, Replay topology.LSN
	// SyncNames is the node's own synchronous_standby_names.
	SyncNames string
}

// Position is how much WAL a standby has: promotion replays what was received.
func (f Facts) Position() topology.LSN { return max(f.Receive, f.Replay) }

// Server is one open connection to a node.
type Server interface {
	// Facts asks in one round trip.
	Facts(ctx context.Context) (Facts, error)
	// Promote asks for a promotion and returns before it has happened.
	// ErrNotAsked: the server refused, and nothing will come of it.
	Promote(ctx context.Context) error
	// Timeline is the primary's timeline; zero while the node is in recovery.
	Timeline(ctx context.Context) (topology.TimelineID, error)
	// EnsureSlots makes the physical replication slots that are not there yet,
	// and has them reserve WAL from now on.
	EnsureSlots(ctx context.Context, names []string) error
	// Checkpoint sends for a checkpoint without waiting for it. Only Close may
	// follow.
	Checkpoint(ctx context.Context) error
	// Close ends the connection. It may be called twice.
	Close()
}

// relation is how a node's line stands to the line that is wanted.
type relation int

const (
	offLine relation = iota // it holds WAL of another line
	behind                  // on the line, but on an older timeline of it
	onLine                  // on the wanted timeline
	ahead                   // on a newer timeline that descends from it
)

// relate compares by the numbers: the history h of a node with position pos
// against the wanted line. pos zero: none is known, the histories alone count.
func relate(h topology.History, pos topology.LSN, line topology.History) relation {
	switch {
	case h.TLI == line.TLI:
		if numberOnly(h) || numberOnly(line) || h.Text() == line.Text() {
			return onLine
		}
		return offLine
	case h.TLI < line.TLI:
		if at, ok := line.SwitchPoint(h.TLI); ok && sameStart(h, line) {
			if pos <= at {
				return behind
			}
			return offLine
		}
		if numberOnly(line) {
			return behind
		}
		return offLine
	case numberOnly(h), h.Descends(line), numberOnly(line) && h.Contains(line.TLI):
		return ahead
	}
	return offLine
}

// sameStart says whether all of h's ancestors are line's, with their switch points.
func sameStart(h, line topology.History) bool {
	if numberOnly(h) {
		return true
	}
	for i, e := range h.Ancestors {
		if i >= len(line.Ancestors) || line.Ancestors[i] != e {
			return false
		}
	}
	return true
}

// numberOnly says that h is a timeline number whose history was not readable.
func numberOnly(h topology.History) bool { return h.TLI > 1 && len(h.Ancestors) == 0 }
