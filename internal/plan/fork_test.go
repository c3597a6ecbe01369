package plan

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/topology"
)

// forkedScene has node 2 under node 1's timeline number with data of its own,
// which was seen in one pass; now it streams, and its WAL looks right.
func forkedScene(t *testing.T) *scene {
	t.Helper()
	s := newScene(t).learn()
	s.promoted(1).standby(2, 1).learn()
	for i, id := range []string{"a", "b", "c"} {
		s.node(topology.NodeID(i)).Agent.DataID = id
	}
	s.stopped(2).lineage(2, 1, topology.LineageDiverged)
	s.node(2).Lineage.SameTimeline, s.node(2).Lineage.DataID = true, "c"
	s.learn()
	s.standby(2, 1).later(2 * time.Minute)
	s.node(2).Agent.DataID, s.node(2).Lineage.DataID = "c", "c"
	return s
}

func TestForkIsRemembered(t *testing.T) {
	t.Parallel()
	t.Run("attached, and streams", func(t *testing.T) {
		t.Parallel()
		forkedScene(t).expect("", "", "detach attached-diverged")
	})
	t.Run("detached, and streams", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t).status(2, topology.PoolDown)
		ds := s.expect("", "", "resync/base-backup diverged")
		if r := ds[2].Request; r == nil || r.Divergence == 0 {
			t.Errorf("without its divergence point the vault keeps nothing: %+v", r)
		}
	})
	t.Run("down again", func(t *testing.T) {
		t.Parallel()
		forkedScene(t).stopped(2).status(2, topology.PoolDown).expect("", "", "resync/base-backup diverged")
	})
	t.Run("copied anew, by whomever", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t)
		s.node(2).Agent.DataID, s.node(2).Lineage.DataID = "d", "d"
		s.expect("", "", "none healthy")
		s.node(2).Agent.DataID, s.node(2).Lineage.DataID = "c", "c"
		s.expect("", "", "none healthy") // what is void stays so
	})
	t.Run("an answer about the directory before is no proof against this one", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t)
		s.node(2).Agent.DataID = "d"
		s.node(2).Lineage.Verdict, s.node(2).Lineage.SameTimeline = topology.LineageDiverged, true
		s.expect("", "", "none healthy")
	})
	t.Run("another primary goes on with the line", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t)
		s.stopped(1).status(1, topology.PoolDown)
		s.primary(0, "1@0/5000000 2@0/5002000 3", 0x5003000).poolPrimary(0).status(0, topology.PoolUp)
		s.node(0).Agent.DataID = "a"
		s.standby(2, 0)
		s.node(2).Agent.DataID = "c"
		s.learn().later(time.Minute)
		s.expect("", "", "detach attached-diverged")
	})
	t.Run("its own line becomes the pool's", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t)
		s.stopped(1).status(1, topology.PoolDown)
		s.primary(2, "1@0/5000000 2@0/5002000 3", 0x5003000).poolPrimary(2)
		s.node(2).Agent.DataID = "c"
		s.learn().later(time.Minute)
		if d := s.step()[2]; d.Code != CodePrimary {
			t.Errorf("the new primary is judged by what it was: %s", short(d))
		}
	})
}
