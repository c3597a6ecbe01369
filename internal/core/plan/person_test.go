package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// full is a memory in which everything stands that a person can end.
func full() Memory {
	return Memory{
		Primary: 0, History: topology.History{TLI: 1}, SystemID: sys, Nudges: 3, LastNudge: start, PoolBlindSince: start,
		Holds: []Hold{{Node: 1, Who: "ann", Since: start}, {Node: topology.NoNode, Who: "bob", Since: start}},
		Nodes: []NodeMemory{{Node: 0}, {Node: 1, Parked: codes.Flapping, ParkedWhy: "why", ParkedAt: start, Attempts: 3,
			LastFailure: start, LastCode: "slot-failed",
			Attaches: 9, LastAttach: start, Fences: 2, LastFence: start, LastDetach: start, LastResync: start, SeenRun: "run",
			IgnoredRequests: Ignored{Count: 2, Since: start}}},
	}
}

func TestWhatAPersonSays(t *testing.T) {
	t.Parallel()
	fresh := func(m *Memory) {
		m.Nodes[1] = NodeMemory{Node: 1, LastCode: "slot-failed", LastDetach: start, LastResync: start, SeenRun: "run"}
	}
	for name, c := range map[string]struct {
		did  func(Memory) Memory
		want func(*Memory)
	}{
		"a second hold of a node replaces the first": {
			func(m Memory) Memory { return AddHold(m, Hold{Node: 1, Who: "eve", Since: start.Add(1)}) },
			func(m *Memory) { m.Holds = []Hold{m.Holds[1], {Node: 1, Who: "eve", Since: start.Add(1)}} }},
		"a hold of another": {
			func(m Memory) Memory { return AddHold(m, Hold{Node: 2, Who: "eve"}) },
			func(m *Memory) { m.Holds = append(m.Holds, Hold{Node: 2, Who: "eve"}) }},
		"the end of a node's hold leaves the pool's, and the parking": {
			func(m Memory) Memory { return EndHold(m, 1) },
			func(m *Memory) { m.Holds = m.Holds[1:] }},
		"a release gives the node its attempts back": {
			func(m Memory) Memory { return Release(m, 1) },
			func(m *Memory) { fresh(m); m.Holds = m.Holds[1:]; m.Nudges, m.LastNudge = 0, time.Time{} }},
		"a release of the pool leaves its nodes parked": {
			func(m Memory) Memory { return Release(m, topology.NoNode) },
			func(m *Memory) { m.Holds = m.Holds[:1]; m.Nudges, m.LastNudge = 0, time.Time{} }},
		"consent to any method ends the parking, and no hold": {
			func(m Memory) Memory { return Consent(m, 1, "") },
			func(m *Memory) { fresh(m); m.Nodes[1].Asked = askedAny }},
		"consent to one method": {
			func(m Memory) Memory { return Consent(m, 1, topology.MethodRewind) },
			func(m *Memory) { fresh(m); m.Nodes[1].Asked = "rewind" }},
		"consent for a node of which nothing is remembered yet": {
			func(m Memory) Memory { return Consent(m, 7, "") },
			func(m *Memory) {
				m.Nodes = append(m.Nodes, NodeMemory{Node: 7, TargetPrimary: topology.NoNode, Asked: askedAny})
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem, want := full(), full()
			c.want(&want)
			got := c.did(mem)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(full(), mem); diff != "" {
				t.Errorf("its argument was changed:\n%s", diff)
			}
		})
	}
}

// TestDurable: what the next pass finds by itself is not worth a write to the disk.
func TestDurable(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	s.node(1).SQL.Replay = 0x4FFF000
	before := s.mem.Durable()
	s.later(time.Second).learn()
	if s.memory(1).Target == 0 {
		t.Fatal("no verification has begun")
	}
	if diff := cmp.Diff(before, s.mem.Durable()); diff != "" {
		t.Errorf("a tick of a verification:\n%s", diff)
	}
	m := full()
	if diff := cmp.Diff(m.Holds, m.Durable().Holds); diff != "" || m.Durable().Nodes[1].Parked == "" ||
		m.Durable().Nodes[1].IgnoredRequests.Count == 0 {
		t.Errorf("lost: %s, %+v", diff, m.Durable())
	}
}
