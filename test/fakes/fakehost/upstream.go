package fakehost

import (
	"context"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// Upstream is an agent process's connections to the primary.
type Upstream struct {
	Pool    *Pool
	Process Process
}

var _ resync.UpstreamLink = Upstream{}

// Confirm proves that up still is the request's primary.
func (u Upstream) Confirm(ctx context.Context, up topology.Upstream) error {
	return u.Process.Ask(ctx, up.Node, "Confirm", func(s *Server) error {
		switch {
		case s.Dir.System != up.SystemID:
			return resync.Errorf(codes.UpstreamChanged, "system identifier %s", s.Dir.System)
		case !s.Primary:
			return resync.Errorf(codes.UpstreamChanged, "node %s is a standby now", up.Node)
		case s.Dir.Tip.TLI != up.History.TLI:
			return resync.Errorf(codes.UpstreamChanged, "node %s is on timeline %d", up.Node, s.Dir.Tip.TLI)
		}
		u.Process.Confirmed(up.Node)
		return nil
	})
}

// EnsureSlot makes the slot, and makes one again whose WAL is lost.
func (u Upstream) EnsureSlot(ctx context.Context, up topology.Upstream, name string) error {
	return u.Process.Ask(ctx, up.Node, "EnsureSlot", func(s *Server) error {
		if sl := s.Dir.Slots[name]; sl == nil || sl.Lost {
			s.Dir.Slots[name] = &Slot{Restart: s.Dir.Tip.End}
		}
		return nil
	})
}

// SlotHolder names the session that uses the slot.
func (u Upstream) SlotHolder(ctx context.Context, up topology.Upstream, name string) (holder string, err error) {
	err = u.Process.Ask(ctx, up.Node, "SlotHolder", func(s *Server) error {
		if sl := s.Dir.Slots[name]; sl != nil && sl.Held {
			holder = "process 4711"
		}
		return nil
	})
	return holder, err
}

// Checkpoint makes the primary's control file name its timeline.
func (u Upstream) Checkpoint(ctx context.Context, up topology.Upstream) error {
	return u.Process.Ask(ctx, up.Node, "Checkpoint", func(s *Server) error {
		if s.Primary && s.Dir.ControlTLI != s.Dir.Tip.TLI {
			u.Pool.CheckpointNow(u.Pool.Nodes[up.Node])
		}
		return nil
	})
}

// Size is that of every database here.
func (u Upstream) Size(ctx context.Context, up topology.Upstream) (uint64, error) {
	return DatabaseBytes, u.Process.Ask(ctx, up.Node, "Size", func(*Server) error { return nil })
}

// Position is the primary's end of WAL.
func (u Upstream) Position(ctx context.Context, up topology.Upstream) (lsn topology.LSN, err error) {
	err = u.Process.Ask(ctx, up.Node, "Position", func(s *Server) error { lsn = s.Dir.Tip.End; return nil })
	return lsn, err
}
