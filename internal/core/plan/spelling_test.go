package plan

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// spelledScene has both standbys stream from the primary under a name that pgpool.conf
// does not have, and as "walreceiver", as PostgreSQL calls a receiver by default.
func spelledScene(t *testing.T) *scene {
	t.Helper()
	s := newScene(t)
	for _, id := range []topology.NodeID{1, 2} {
		n := s.node(id)
		n.SQL.Receiver.SenderHost, n.SQL.Receiver.AppName = "db-primary.example", "walreceiver"
		n.Agent.UpstreamHost, n.Agent.UpstreamSlot = "db-primary.example", ""
		s.sender("walreceiver")
	}
	return s
}

// sender has the primary list a WAL sender of that name.
func (s *scene) sender(name string) {
	f := &s.node(0).SQL
	f.Senders = append(f.Senders, topology.WALSender{AppName: name, State: "streaming", Flush: f.Current})
}

// passes lets a long time go by, while the primary writes and the standbys receive.
func (s *scene) keepsPace(d time.Duration) (all []Decision) {
	s.t.Helper()
	for range d / (2 * time.Second) {
		s.later(2 * time.Second)
		for i := range s.snap.Nodes {
			f := &s.snap.Nodes[i].SQL
			if f.InRecovery {
				f.Receive, f.Replay = s.node(0).SQL.Current, s.node(0).SQL.Current
			}
		}
		s.node(0).SQL.Current += 0x1000
		all = append(all, s.step()...)
	}
	return all
}

func never(t *testing.T, ds []Decision, a Action, why string) {
	t.Helper()
	for _, d := range ds {
		if d.Action == a {
			t.Fatalf("%s: node %s: %s (%s)", why, d.Node, short(d), d.Reason)
		}
	}
}

// TestStreamsUnderAnySpelling: a node that streams from the primary is well, however its
// settings spell the primary.
func TestStreamsUnderAnySpelling(t *testing.T) {
	t.Parallel()
	for name, world := range map[string]func(s *scene){
		"by count of the receivers with its name": func(*scene) {},
		"by its cluster_name": func(s *scene) {
			s.node(1).SQL.Receiver.AppName = "west"
			s.node(0).SQL.Senders[0].AppName = "west"
		},
		"by its slot": func(s *scene) {
			s.node(0).SQL.Senders = nil
			for _, id := range []topology.NodeID{1, 2} {
				slot := "standby_" + id.String()
				s.node(id).SQL.Receiver.Slot = slot
				f := &s.node(0).SQL
				f.Slots = append(f.Slots, topology.Slot{Name: slot, Active: true, Physical: true})
			}
		},
		"by a socket directory": func(s *scene) {
			s.node(1).SQL.Receiver.SenderHost = "/run/postgresql"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spelledScene(t)
			world(s)
			s.pol.Methods = map[topology.Method]Mode{topology.MethodFollow: Never}
			never(t, s.keepsPace(2*time.Minute), Detach, "detached for a spelling")
			s.expect("none primary", "none healthy", "none healthy")
			s.status(1, topology.PoolDown).later(time.Minute)
			s.expect("", "wait replaying")
		})
	}
}

// TestUnknownSenderIsNoReasonToDetach, nor to copy, and not enough to attach.
func TestUnknownSenderIsNoReasonToDetach(t *testing.T) {
	t.Parallel()
	unknown := func(t *testing.T) *scene {
		s := spelledScene(t)
		s.node(0).SQL.Senders = s.node(0).SQL.Senders[:1] // whose it is cannot be told
		return s
	}
	for name, world := range map[string]func(s *scene){
		"follow is allowed": func(*scene) {},
		"follow: never": func(s *scene) {
			s.pol.Methods = map[topology.Method]Mode{topology.MethodFollow: Never}
		},
		"follow: ask": func(s *scene) { s.pol.Methods = map[topology.Method]Mode{topology.MethodFollow: Ask} },
		"no agent": func(s *scene) {
			s.node(1).Agent = topology.Inspection{Source: topology.Source{Err: "no agent"}}
			s.node(2).Agent = topology.Inspection{Source: topology.Source{Err: "no agent"}}
		},
		"on hold": func(s *scene) {
			s.mem.Holds = []Hold{{Node: topology.NoNode, Who: "a person", Since: s.now}}
		},
		"each follow fails": func(s *scene) {
			s.failed(1, "r1", topology.MethodFollow, codes.NotStreaming).learn()
			s.failed(1, "r2", topology.MethodFollow, codes.NotStreaming).learn()
			s.failed(1, "r3", topology.MethodFollow, codes.NotStreaming).learn()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := unknown(t)
			world(s)
			all := s.keepsPace(5 * time.Minute)
			never(t, all, Detach, "detached for an unknown sender")
			for _, d := range all {
				if d.Action == Resync && d.Method != topology.MethodFollow {
					t.Fatalf("a good standby is replaced: %s (%s)", short(d), d.Reason)
				}
			}
			s.status(1, topology.PoolDown).status(2, topology.PoolDown)
			never(t, s.keepsPace(5*time.Minute), Attach, "attached without proof of its stream")
		})
	}
	t.Run("it has stopped receiving", func(t *testing.T) {
		t.Parallel()
		s := unknown(t)
		s.keepsPace(time.Minute)
		for range 10 {
			s.node(0).SQL.Current += 0x1000
			s.later(5 * time.Second)
			if d := s.step()[1]; d.Action == Detach && d.Code == codes.AttachedNotStreaming {
				return
			}
		}
		t.Error("still attached, though nothing has reached it since")
	})
	t.Run("it streams from another node", func(t *testing.T) {
		t.Parallel()
		s := unknown(t)
		s.node(1).SQL.Receiver.SenderHost = s.node(2).Host
		found := false
		for _, d := range s.keepsPace(2 * time.Minute) {
			found = found || d.Node == 1 && d.Action == Detach
		}
		if !found {
			t.Error("still attached, though it streams from node 2")
		}
	})
}
