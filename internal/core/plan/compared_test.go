package plan

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// TestProvenTo: how far the agent may take the node's WAL for the primary's. Timelines
// and a control file "in archive recovery" prove nothing of it.
func TestProvenTo(t *testing.T) {
	t.Parallel()
	gone := func(s *scene) {
		s.stopped(2).status(2, topology.PoolDown).lineage(2, 0, topology.LineageUnknown)
		s.node(2).Lineage.StreamGap = true
	}
	data := func(s *scene) {
		for i, id := range []string{"a", "b", "c"} {
			s.node(topology.NodeID(i)).Agent.DataID = id
			s.node(topology.NodeID(i)).Lineage.DataID = id
		}
	}
	for name, tt := range map[string]struct {
		world func(s *scene)
		want  topology.LSN
	}{
		"never compared": {gone, 0},
		"compared once, and nothing has changed": {func(s *scene) {
			data(s)
			s.learn().later(time.Hour)
			gone(s)
		}, 0x5000000},
		"the directory is another one since": {func(s *scene) {
			data(s)
			s.learn()
			gone(s)
			s.node(2).Agent.DataID = "d"
		}, 0},
		"the primary's directory is another one since": {func(s *scene) {
			data(s)
			s.learn()
			gone(s)
			s.node(0).Agent.DataID = "d"
		}, 0},
		"the pool has gone on to another line since": {func(s *scene) {
			data(s)
			s.learn()
			s.promoted(1)
			s.node(1).Agent.DataID = "b"
			s.learn()
			gone(s)
			s.node(2).Lineage.Primary = 1
		}, 0},
		"a divergence by numbers alone": {func(s *scene) {
			s.stopped(2).status(2, topology.PoolDown).lineage(2, 0, topology.LineageDiverged)
			s.node(2).Lineage.ProvenTo, s.node(2).Lineage.RewindWAL = 0, false
		}, 0},
		"a fork that numbers alone have proven": {func(s *scene) {
			data(s)
			s.stopped(2).status(2, topology.PoolDown).lineage(2, 0, topology.LineageDiverged)
			l := &s.node(2).Lineage
			l.SameTimeline, l.DataID, l.ProvenTo, l.RewindWAL = true, "c", 0, false
		}, 0},
		"a divergence whose last common record is the primary's": {func(s *scene) {
			s.stopped(2).status(2, topology.PoolDown).lineage(2, 0, topology.LineageDiverged)
			s.node(2).Lineage.RewindWAL = false
		}, 0x5000000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.world(s)
			d := s.step()[2]
			if d.Action != Resync || d.Method != topology.MethodBaseBackup || d.Request.ProvenTo != tt.want {
				t.Fatalf("%s (%s), request %+v; want a base backup, proven to %s", short(d), d.Reason, d.Request,
					tt.want)
			}
			s.later(time.Minute)
			s.pol.Custom = true
			if d := s.step()[2]; (d.Action == Resync) != (tt.want != 0) {
				t.Errorf("the operator's own program, which overwrites in place: %s (%s)", short(d), d.Reason)
			}
		})
	}
}
