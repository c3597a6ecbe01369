package plan

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// falsePrimary is the pool in which somebody has promoted node 2 by hand and Pgpool-II has
// detached it: node 0 is the primary, and node 1 streams from it.
func falsePrimary(t *testing.T) *scene {
	t.Helper()
	s := newScene(t).learn()
	s.primary(2, "1@0/4000000 2", 0x4100000).status(2, topology.PoolDown)
	return s
}

// joined makes Pgpool-II route to further nodes.
func (s *scene) joined(ids ...topology.NodeID) {
	v := &s.snap.Pools[0]
	for _, id := range ids {
		v.Nodes = append(v.Nodes, topology.PoolNode{ID: id, Status: topology.PoolUp})
	}
}

// TestWhoIsTheFalsePrimary has a case for each row of docs/decisions/0019.
func TestWhoIsTheFalsePrimary(t *testing.T) {
	t.Parallel()
	const refused = "wait primary-contested"
	for name, tt := range map[string]struct {
		world func(s *scene)
		want  []string
	}{
		"Pgpool-II, streaming and majority agree": {func(*scene) {},
			[]string{"none primary", "none healthy", "fence second-primary"}},
		"two false primaries": {func(s *scene) {
			s.snap.Nodes = append(s.snap.Nodes, topology.Node{ID: 3, Host: "10.0.0.13", Port: 5432},
				topology.Node{ID: 4, Host: "10.0.0.14", Port: 5432})
			s.joined(3, 4)
			s.standby(4, 0).primary(3, "1@0/4000000 2", 0x4200000).status(3, topology.PoolDown)
		}, []string{"none primary", "none healthy", "fence second-primary", "fence second-primary", "none healthy"}},
		"policy forbids the fence: the pool goes on all the same": {func(s *scene) { s.pol.Fence = Never },
			[]string{"none primary", "none healthy", "none not-allowed"}},
		"Pgpool-II routes reads to it": {func(s *scene) { s.status(2, topology.PoolUp) },
			[]string{refused, refused, refused}},
		"it is quarantined": {func(s *scene) { s.snap.Pools[0].Node(2).Quarantine = true }, []string{refused, refused}},
		"no standby streams from Pgpool-II's primary": {func(s *scene) { s.node(1).SQL.Receiver.Status = "" },
			[]string{refused, refused, refused}},
		"no majority": {func(s *scene) {
			s.snap.Nodes = append(s.snap.Nodes, topology.Node{ID: 3, Host: "10.0.0.13", Port: 5432})
			s.snap.Pools[0].Nodes = append(s.snap.Pools[0].Nodes, topology.PoolNode{ID: 3, Status: topology.PoolDown})
			s.sql(3).Source = topology.Source{At: s.now, Err: "no answer"}
		}, []string{refused, refused, refused}},
		"a standby streams from it": {func(s *scene) {
			s.snap.Nodes = append(s.snap.Nodes, topology.Node{ID: 3, Host: "10.0.0.13", Port: 5432},
				topology.Node{ID: 4, Host: "10.0.0.14", Port: 5432})
			s.joined(3, 4)
			s.standby(3, 0).standby(4, 2)
		}, []string{refused, refused, refused}},
		"the failover hook has promoted it": {func(s *scene) {
			s.snap.Promoted = topology.Promotion{Node: 2, SystemID: sys, History: hist("1@0/4000000 2")}
		}, []string{"wait primary-contested", refused, refused}},
		"nothing is known from before": {func(s *scene) { s.mem = Memory{Primary: topology.NoNode} },
			[]string{refused, refused, refused}},
		"another Pgpool-II does not agree": {func(s *scene) {
			other := s.snap.Pools[0]
			other.Endpoint, other.Primary = "other:9898", 2
			s.snap.Pools = append(s.snap.Pools, other)
		}, []string{refused, refused, refused}},
		"its history is not known": {func(s *scene) { s.node(2).Agent.Err = "no answer" },
			[]string{"wait primary-history-unknown"}},
		"a person wants Pgpool-II's primary resynced": {func(s *scene) { s.memory(0).Asked = askedAny },
			[]string{"none pool-unresponsive"}}, // its detach is not carried out here
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := falsePrimary(t)
			tt.world(s)
			for range 10 {
				s.later(2 * time.Second)
				if d := s.step()[2]; d.Action == Fence && s.now.Sub(start) < contestPatience {
					t.Fatalf("stopped after %s", s.now.Sub(start))
				}
			}
			if tt.want[len(tt.want)-1] != refused {
				s.memory(2).LastFence, s.memory(2).Fences = time.Time{}, 0
				if len(s.snap.Nodes) > 3 {
					s.memory(3).LastFence, s.memory(3).Fences = time.Time{}, 0
				}
			}
			s.later(time.Minute).expect(tt.want...)
		})
	}
	t.Run("evidence that comes and goes", func(t *testing.T) {
		t.Parallel()
		s := falsePrimary(t)
		for i := range 20 {
			s.later(4 * time.Second)
			s.node(1).SQL.Receiver.Status = []string{"streaming", "streaming", ""}[i%3]
			if d := s.step()[2]; d.Action == Fence {
				t.Fatalf("stopped: %s", d.Reason)
			}
		}
	})
	t.Run("what follows", func(t *testing.T) {
		t.Parallel()
		s := falsePrimary(t)
		for range 10 {
			s.later(2 * time.Second).step()
		}
		s.stopped(2).lineage(2, 0, topology.LineageDiverged).later(time.Minute)
		s.expect("none primary", "none healthy", "resync/rewind diverged")
	})
}
