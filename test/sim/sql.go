package sim

import (
	"context"
	"errors"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/test/fakes/fakehost"
)

// prober is a controller's connection to one node.
type prober struct{ *link }

// Probe asks for everything.
func (p prober) Probe(ctx context.Context) (f topology.SQLFacts) {
	err := p.ask(ctx, "Probe", func(*fakehost.Server) error {
		f = p.w.Facts(p.to.Node)
		return nil
	})
	if err != nil {
		f = topology.SQLFacts{Source: topology.Source{Err: err.Error()}, Refused: errors.Is(err, fakehost.ErrRefused)}
	}
	f.At = time.Now()
	return f
}

// session is a hook's connection to one node.
type session struct {
	*link
	onPromote func(n *node)
}

// Facts asks what a failover needs to know.
func (s session) Facts(ctx context.Context) (f hook.Facts, err error) {
	err = s.ask(ctx, "Facts", func(srv *fakehost.Server) error {
		d := srv.Dir
		f = hook.Facts{InRecovery: !srv.Primary, SystemID: d.System, History: d.History(), SyncNames: s.w.SyncNames}
		if f.InRecovery {
			f.Receive, f.Replay = d.Tip.End, d.Data.End
		}
		return nil
	})
	return f, err
}

// Promote asks for a promotion, which comes a little later.
func (s session) Promote(ctx context.Context) error {
	return s.ask(ctx, "Promote", func(srv *fakehost.Server) error {
		if srv.Primary {
			return hook.ErrNotAsked
		}
		if srv.PromoteAt.IsZero() {
			s.onPromote(s.to)
			srv.PromoteAt = time.Now().Add(150 * time.Millisecond)
			srv.ByUs = true
		}
		return nil
	})
}

// Timeline is zero in recovery.
func (s session) Timeline(ctx context.Context) (tli topology.TimelineID, err error) {
	err = s.ask(ctx, "Timeline", func(srv *fakehost.Server) error {
		if srv.Primary {
			tli = srv.Dir.Tip.TLI
		}
		return nil
	})
	return tli, err
}

// EnsureSlots makes the slots that are not there.
func (s session) EnsureSlots(ctx context.Context, names []string) error {
	return s.ask(ctx, "EnsureSlots", func(srv *fakehost.Server) error {
		for _, name := range names {
			if srv.Dir.Slots[name] == nil {
				srv.Dir.Slots[name] = &fakehost.Slot{Restart: srv.Dir.Tip.End}
			}
		}
		return nil
	})
}

// Checkpoint sends for one.
func (s session) Checkpoint(ctx context.Context) error {
	return s.ask(ctx, "Checkpoint", func(srv *fakehost.Server) error {
		if srv.Primary {
			s.w.CheckpointNow(s.to.Node)
		}
		return nil
	})
}

// Close ends the connection.
func (s session) Close() {}
