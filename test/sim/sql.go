package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
)

// facts is what a running server says of itself. w.mu is held.
func (w *World) facts(n *node) topology.SQLFacts {
	s := n.srv
	d := s.d
	f := topology.SQLFacts{InRecovery: !s.primary, SystemID: d.system, Version: 150018, Timeline: d.controlTLI, DatabaseBytes: databaseBytes,
		Settings: settings}
	if s.primary {
		f.Timeline, f.Current = d.tip.tli, d.tip.end
		for _, m := range w.nodes {
			if m.srv != nil && m.srv.streaming && m.srv.from == n.id {
				f.Senders = append(f.Senders, topology.WALSender{AppName: appName(m.id), State: "streaming", Flush: m.srv.d.tip.end, Replay: m.srv.d.data.end})
			}
		}
		for _, m := range w.nodes { // in the order of the nodes, not of the map
			name := slotName(m.id)
			if sl := d.slots[name]; sl != nil {
				status := "reserved"
				if sl.lost {
					status = "lost"
				}
				f.Slots = append(f.Slots, topology.Slot{Name: name, Active: sl.active, Physical: true, Restart: sl.restart, WALStatus: status})
			}
		}
		return f
	}
	f.Receive, f.Replay, f.ReplayPaused = d.tip.end, d.data.end, s.paused
	if s.streaming && s.from >= 0 {
		u := w.nodes[s.from]
		f.Timeline = d.tip.tli
		f.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: u.host, SenderPort: u.port, Timeline: d.tip.tli, Slot: d.slot}
	}
	return f
}

var settings = map[string]string{"max_connections": "100", "max_replication_slots": "10", "max_wal_senders": "10", "full_page_writes": "on"}

func appName(id topology.NodeID) string  { return fmt.Sprintf("node%d", id) }
func slotName(id topology.NodeID) string { return fmt.Sprintf("repool_node%d", id) }

// prober is a controller's connection to one node.
type prober struct{ *link }

// Probe asks for everything.
func (p prober) Probe(ctx context.Context) (f topology.SQLFacts) {
	err := p.ask(ctx, "Probe", func(*server) error {
		f = p.w.facts(p.to)
		return nil
	})
	if err != nil {
		f = topology.SQLFacts{Source: topology.Source{Err: err.Error()}, Refused: errors.Is(err, errRefused)}
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
	err = s.ask(ctx, "Facts", func(srv *server) error {
		d := srv.d
		f = hook.Facts{InRecovery: !srv.primary, SystemID: d.system, History: d.history()}
		if f.InRecovery {
			f.Receive, f.Replay = d.tip.end, d.data.end
		}
		return nil
	})
	return f, err
}

// Promote asks for a promotion, which comes a little later.
func (s session) Promote(ctx context.Context) error {
	return s.ask(ctx, "Promote", func(srv *server) error {
		if srv.primary {
			return hook.ErrNotAsked
		}
		if srv.promoteAt.IsZero() {
			s.onPromote(s.to)
			srv.promoteAt = time.Now().Add(150 * time.Millisecond)
			srv.byUs = true
		}
		return nil
	})
}

// Timeline is zero in recovery.
func (s session) Timeline(ctx context.Context) (tli topology.TimelineID, err error) {
	err = s.ask(ctx, "Timeline", func(srv *server) error {
		if srv.primary {
			tli = srv.d.tip.tli
		}
		return nil
	})
	return tli, err
}

// EnsureSlots makes the slots that are not there.
func (s session) EnsureSlots(ctx context.Context, names []string) error {
	return s.ask(ctx, "EnsureSlots", func(srv *server) error {
		for _, name := range names {
			if srv.d.slots[name] == nil {
				srv.d.slots[name] = &slot{restart: srv.d.tip.end}
			}
		}
		return nil
	})
}

// Checkpoint sends for one.
func (s session) Checkpoint(ctx context.Context) error {
	return s.ask(ctx, "Checkpoint", func(srv *server) error {
		if srv.primary {
			s.w.checkpointNow(s.to)
		}
		return nil
	})
}

// Close ends the connection.
func (s session) Close() {}
