package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// idle is a slot of repool's that nobody uses.
func idle(id topology.NodeID) topology.Slot {
	return topology.Slot{Name: topology.SlotName(id), Physical: true, Restart: 0x4000000, Horizon: true, XminAge: 70000}
}

// away makes a node one whose host is gone: its sources are silent, and Pgpool-II has it down.
func (s *scene) away(id topology.NodeID) {
	none := topology.Source{At: s.now, Err: "no route to host"}
	s.node(id).SQL, s.node(id).Agent = topology.SQLFacts{Source: none}, topology.Inspection{Source: none}
	s.snap.Pools[0].Node(id).Status = topology.PoolDown
}

// TestIdleSlotsOfAStandby: node 1 was the primary once and streams from node 0 now (hazard 67).
func TestIdleSlotsOfAStandby(t *testing.T) {
	t.Parallel()
	elsewhere := func(s *scene) { // node 2 streams from node 1, which its settings name
		f, a, n := &s.node(2).SQL, &s.node(2).Agent, s.node(1)
		f.Receiver.SenderHost, f.Receiver.SenderPort = n.Host, n.Port
		a.UpstreamHost, a.UpstreamPort = n.Host, n.Port
	}
	for name, c := range map[string]struct {
		slots  []topology.Slot
		change func(s *scene)
		want   string
	}{
		"of every other node":       {slots: []topology.Slot{idle(2), idle(0)}, want: "repool_node0 repool_node2"},
		"of a node that is removed": {slots: []topology.Slot{idle(9)}, want: "repool_node9"},
		"without any WAL reserved": {slots: []topology.Slot{{Name: "repool_node0", Physical: true}},
			want: "repool_node0"},
		"in use":  {slots: []topology.Slot{{Name: "repool_node2", Physical: true, Active: true}}},
		"logical": {slots: []topology.Slot{{Name: "repool_node2"}}},
		"somebody else's": {slots: []topology.Slot{{Name: "barman", Physical: true},
			{Name: "repool_nodeX", Physical: true}}},
		"of a node that follows this standby": {slots: []topology.Slot{idle(0), idle(2)}, change: elsewhere,
			want: "repool_node0"},
		"of a node that follows this standby, down": {slots: []topology.Slot{idle(2)}, change: func(s *scene) {
			elsewhere(s)
			s.stopped(2)
		}},
		"of a node that nobody can see, attached": {slots: []topology.Slot{idle(2)}, change: func(s *scene) {
			s.away(2)
			s.snap.Pools[0].Node(2).Status = topology.PoolUp
		}},
		"of a node that is gone and detached": {slots: []topology.Slot{idle(2)}, want: "repool_node2",
			change: func(s *scene) { s.away(2) }},
		"of a node that is gone and on hold": {slots: []topology.Slot{idle(2)}, change: func(s *scene) {
			s.away(2)
			s.mem.Holds = []Hold{{Node: 2, Who: "a", Why: "b", Since: s.now}}
		}},
		"of a node that is gone, and nothing may point it to the primary": {slots: []topology.Slot{idle(2)},
			change: func(s *scene) {
				s.away(2)
				s.pol.Methods = map[topology.Method]Mode{topology.MethodFollow: Ask}
			}},
		"while Pgpool-II does not agree": {slots: []topology.Slot{idle(0)}, change: func(s *scene) {
			s.snap.Pools[0].Primary = topology.NoNode
		}},
		"on a node without its agent": {slots: []topology.Slot{idle(0)}, change: func(s *scene) {
			s.node(1).Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no answer"}}
		}},
		"on a node on hold": {slots: []topology.Slot{idle(0)}, change: func(s *scene) {
			s.mem.Holds = []Hold{{Node: 1, Who: "a", Why: "b", Since: s.now}}
		}},
		"on a node that does not stream": {slots: []topology.Slot{idle(0)}, change: func(s *scene) {
			s.node(1).SQL.Receiver = topology.WALReceiver{}
		}},
		"requested a moment ago": {slots: []topology.Slot{idle(0)}, change: func(s *scene) {
			s.mem.Nodes = []NodeMemory{{Node: 1, TargetPrimary: topology.NoNode,
				LastDropSlots: s.now.Add(-time.Second)}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.node(1).SQL.Slots = c.slots
			if c.change != nil {
				c.change(s)
			}
			d := decisionOf(t, s, 1)
			if got := strings.Join(d.Slots, " "); got != c.want || (d.Action == DropSlots) != (c.want != "") {
				t.Errorf("%s (%s) drops %q, want %q: %s", d.Action, d.Code, got, c.want, d.Reason)
			}
			if c.want != "" && (d.Code != codes.IdleSlots || d.Severity != codes.Work) {
				t.Errorf("decided %s, %s", d.Code, d.Severity)
			}
		})
	}
}

// TestIdleSlotsThatStayAreTold: the node is well meanwhile, and the request is not repeated with each pass.
func TestIdleSlotsThatStayAreTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.node(1).SQL.Slots = []topology.Slot{idle(0)}
	requests := 0
	for range 130 {
		mem, ds := Step(s.mem, s.snap, s.pol, s.now)
		taken := slices.DeleteFunc(slices.Clone(ds), func(d Decision) bool { return d.Action != DropSlots })
		requests += len(taken)
		s.mem = Advance(mem, taken, s.pol, s.now)
		told := ds[1].Code == codes.Healthy && strings.Contains(ds[1].Reason, "the slot repool_node0")
		if len(taken) == 0 && !told {
			t.Fatalf("%s: %s", ds[1].Code, ds[1].Reason)
		}
		s.now = s.now.Add(time.Second)
		s.fresh()
	}
	if requests != 3 {
		t.Errorf("%d requests in 130 seconds, want 3", requests)
	}
}

// TestSlotsOfThePrimaryStay: what a removed node's slot holds there is for a person to judge.
func TestSlotsOfThePrimaryStay(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.node(0).SQL.Slots = []topology.Slot{idle(1), idle(9)}
	if d := decisionOf(t, s, 0); d.Action != None || len(d.Slots) > 0 {
		t.Errorf("%s %v", d.Action, d.Slots)
	}
}

// TestAReplacedDirectoryThatIsKeptIsTold: a node that is well may still carry a full copy of which repool removes
// nothing (hazard 67).
func TestAReplacedDirectoryThatIsKeptIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.node(1).Agent.Kept = topology.Kept{WorkDir: "/d.repool", Old: 3 * gib, Vault: 1000}
	if d := decisionOf(t, s, 1); strings.Contains(d.Reason, "warning") {
		t.Errorf("one that repool will remove: %s", d.Reason)
	}
	s.node(1).Agent.Kept.OldUnsaved = true
	const want = "warning: a replaced data directory of 3"
	if d := decisionOf(t, s, 1); d.Code != codes.Healthy || !strings.Contains(d.Reason, want) {
		t.Errorf("%s: %s", d.Code, d.Reason)
	}
}

// TestTrashCountsAsSpace: a base backup empties the trash before it looks for room.
func TestTrashCountsAsSpace(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.stopped(1)
	s.node(1).Agent.Dir, s.node(1).Agent.FreeBytes = topology.DirMissing, gib
	s.snap.Pools[0].Node(1).Status = topology.PoolDown
	if d := decisionOf(t, s, 1); d.Code != codes.NoSpace {
		t.Fatalf("decided %s: %s", d.Code, d.Reason)
	}
	s.node(1).Agent.Kept.Trash = 2 * gib
	if d := decisionOf(t, s, 1); d.Method != topology.MethodBaseBackup {
		t.Errorf("decided %s %s: %s", d.Code, d.Method, d.Reason)
	}
}
