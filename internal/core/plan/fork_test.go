package plan

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
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
	t.Run("copied again, by whomever", func(t *testing.T) {
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
		if d := s.step()[2]; d.Code != codes.Primary {
			t.Errorf("the new primary is judged by what it was: %s", short(d))
		}
	})
}

// TestForkedDirectoryIsKept: KeepOld is asked for exactly where the node's WAL need
// not be that of its data.
func TestForkedDirectoryIsKept(t *testing.T) {
	t.Parallel()
	kept := func(t *testing.T, s *scene, want bool) {
		t.Helper()
		d := s.step()[2]
		if d.Action != Resync || d.Method != topology.MethodBaseBackup || d.Request == nil || d.Request.KeepOld != want {
			t.Errorf("%s, request %+v; want a base backup, keeping %v", short(d), d.Request, want)
		}
	}
	t.Run("streams over it", func(t *testing.T) {
		t.Parallel()
		kept(t, forkedScene(t).status(2, topology.PoolDown), true)
	})
	t.Run("down, and its WAL looks right", func(t *testing.T) {
		t.Parallel()
		kept(t, forkedScene(t).stopped(2).lineage(2, 1, topology.LineageOnLine).status(2, topology.PoolDown), true)
	})
	t.Run("down, and its WAL is its own still", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t).stopped(2).lineage(2, 1, topology.LineageDiverged).status(2, topology.PoolDown)
		s.node(2).Lineage.SameTimeline, s.node(2).Lineage.DataID = true, "c"
		kept(t, s, false) // the vault has all of it
	})
	t.Run("down, and its WAL was received over", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t).stopped(2).lineage(2, 1, topology.LineageDiverged).status(2, topology.PoolDown)
		s.node(2).Lineage.SameTimeline, s.node(2).Lineage.Overwritten, s.node(2).Lineage.DataID = true, true, "c"
		kept(t, s, true)
	})
	t.Run("an own program would overwrite it in place", func(t *testing.T) {
		t.Parallel()
		s := forkedScene(t).status(2, topology.PoolDown)
		s.pol.Custom = true
		s.expect("", "", "none needs-consent")
	})
	t.Run("one number from two places", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.promoted(1).standby(2, 1).learn()
		for i, id := range []string{"a", "b", "c"} {
			s.node(topology.NodeID(i)).Agent.DataID = id
		}
		s.stopped(2).lineage(2, 1, topology.LineageDiverged).status(2, topology.PoolDown)
		s.node(2).Lineage.DataID = "c"
		s.node(2).Agent.History = topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x4000000}}}
		s.learn()
		if s.memory(2).Fork.DataID != "c" {
			t.Errorf("not remembered: %+v", s.memory(2).Fork)
		}
	})
}

// TestStreamThatBreaksOff: a stream that begins and ends, again and again within two
// minutes, while replay stands still short of the primary, ends in a base backup
// that keeps the directory; one that breaks off now and then does not.
func TestStreamThatBreaksOff(t *testing.T) {
	t.Parallel()
	broken := func(t *testing.T, every time.Duration, moves bool) Decision {
		t.Helper()
		s := newScene(t).status(2, topology.PoolDown).learn()
		at := s.node(0).SQL.Current
		for i := range maxBreaks {
			s.standby(2, 0)
			s.node(2).SQL.Replay = at - 0x1000
			if moves {
				s.node(2).SQL.Replay += topology.LSN(i)
			}
			s.node(0).SQL.Current += 0x100
			s.step()
			s.later(every / 2)
			s.node(2).SQL.Receiver.Status = ""
			s.step()
			s.later(every / 2)
		}
		return s.step()[2]
	}
	if d := broken(t, 5*time.Second, false); d.Action != Resync || d.Method != topology.MethodBaseBackup ||
		d.Code != codes.NotStreaming || !d.Request.KeepOld {
		t.Errorf("breaks off at once each time: %s", short(d))
	}
	if d := broken(t, 5*time.Second, true); d.Method == topology.MethodBaseBackup {
		t.Errorf("replay moves: %s", short(d))
	}
	if d := broken(t, 10*time.Minute, false); d.Method == topology.MethodBaseBackup {
		t.Errorf("breaks off now and then: %s", short(d))
	}
}
