package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// Hazard 60: while another session uses the node's slot on the primary, nothing is
// tried, and the reason says whose session that is.
func TestSlotInUseIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(*scene){
		"a server that is down":      func(s *scene) { s.stopped(1) },
		"a standby without stream":   func(s *scene) { s.node(1).SQL.Receiver = topology.WALReceiver{} },
		"WAL that is gone meanwhile": func(s *scene) { s.stopped(1); s.node(1).Lineage.StreamGap = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t).learn()
			put(s)
			s.status(1, topology.PoolDown)
			p := &s.node(0).SQL
			p.Slots = []topology.Slot{{Name: "repool_node1", Active: true, Physical: true, PID: 4711}}
			p.Senders = []topology.WALSender{{PID: 4711, Addr: "10.0.0.9", AppName: "pg_receivewal"}}
			d := s.expect("", "wait slot-held")[1]
			for _, want := range []string{"4711", "10.0.0.9", "pg_receivewal", "node 0"} {
				if !strings.Contains(d.Reason, want) {
					t.Errorf("%q does not say %s", d.Reason, want)
				}
			}
			if d.Severity != codes.Work || d.Hint != "" {
				t.Errorf("at once: %s, %q", d.Severity, d.Hint)
			}
			for range 30 {
				d = s.later(5*time.Second).expect("", "wait slot-held")[1]
			}
			if d.Severity != codes.Refused || !strings.Contains(d.Hint, "pg_terminate_backend(4711)") {
				t.Errorf("in the end: %s, %q", d.Severity, d.Hint)
			}
			p.Slots[0].Active = false
			if d := s.later(time.Second).step()[1]; d.Code == codes.SlotHeld {
				t.Errorf("with a free slot: %s", short(d))
			}
		})
	}
}

// The node's own session is nobody else's.
func TestSlotInUseByTheNodeItself(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.node(0).SQL.Slots = []topology.Slot{{Name: "repool_node1", Active: true, Physical: true, PID: 4711}}
	s.expect("", "none healthy")
	s.node(1).SQL.Receiver.Status = "waiting"
	if d := s.later(time.Second).step()[1]; d.Code == codes.SlotHeld {
		t.Errorf("%s", short(d))
	}
}

// Nor is it where the directory was deleted under the node's running server, which may
// stream on: the run stops that server, and waits for the slot itself.
func TestSlotInUseByAServerWithoutDirectory(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.stopped(1).status(1, topology.PoolDown)
	s.node(1).Agent.Dir = topology.DirMissing
	s.node(0).SQL.Slots = []topology.Slot{{Name: "repool_node1", Active: true, Physical: true, PID: 4711}}
	s.expect("", "resync/base-backup no-data")
}

// A run that saw the slot in use, or the replay stand still, is no failed attempt:
// however often it happens, nothing dearer follows and the node is not parked.
func TestWaitingIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.SlotHeld, codes.ReplayStalled, codes.ReplayPaused} {
		s := newScene(t).learn()
		s.stopped(1).status(1, topology.PoolDown)
		for i := range 12 {
			s.later(10*time.Second).expect("", "resync/start standby-down")
			s.failed(1, string(code)+string(rune('a'+i)), topology.MethodStart, code)
			s.step()
		}
	}
}

// Hazard 61: a standby that has WAL to replay asks for no stream before; that is
// waited for and its cause named, however long it takes.
func TestSlowReplayIsWaitedFor(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]struct{ decision, says string }{
		"RecoveryConflictSnapshot":      {"wait replay-stalled", "query"},
		"RecoveryApplyDelay":            {"wait replay-stalled", "recovery_min_apply_delay"},
		"RestoreCommand":                {"wait replay-stalled", "restore_command"},
		"RecoveryPause":                 {"wait replay-paused", "paused"},
		"running":                       {"wait replaying", "streams once"},
		"RecoveryRetrieveRetryInterval": {"resync/follow not-streaming", ""},
		"":                              {"resync/follow not-streaming", ""},
	} {
		s := newScene(t).learn()
		f := &s.node(1).SQL
		f.Receiver, f.Startup, f.ReplayPaused = topology.WALReceiver{}, event, event == "RecoveryPause"
		f.Replay -= 0x1000
		s.status(1, topology.PoolDown).step()
		s.node(1).Lineage.StreamGap = want.says != "" // which a replay from the archive may well close
		for range 3 {
			s.later(20 * time.Second)
			d := s.expect("", want.decision)[1]
			if !strings.Contains(d.Reason, want.says) {
				t.Errorf("%s: %q", event, d.Reason)
			}
			if d.Action == Resync {
				break
			}
		}
	}
}
