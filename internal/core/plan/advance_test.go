package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// propose is a pass of which only what take says is carried out.
func (s *scene) propose(take func(Decision) bool) []Decision {
	s.t.Helper()
	mem, ds := Step(s.mem, s.snap, s.pol, s.now)
	var taken []Decision
	for _, d := range ds {
		if take(d) {
			taken = append(taken, d)
		}
	}
	s.mem = Advance(mem, taken, s.pol, s.now)
	return ds
}

func nothing(Decision) bool { return false }

// TestWhatIsNotCarriedOutIsProposedAgain: for a controller that cannot act, or a
// node that is busy, no request is rate limited, counted or held against the node.
func TestWhatIsNotCarriedOutIsProposedAgain(t *testing.T) {
	t.Parallel()
	for want, world := range map[string]func(*scene) topology.NodeID{
		"attach ready":              func(s *scene) topology.NodeID { s.status(1, topology.PoolDown); return 1 },
		"resync/start standby-down": func(s *scene) topology.NodeID { s.stopped(1).status(1, topology.PoolDown); return 1 },
		"detach attached-diverged":  func(s *scene) topology.NodeID { diverge(s, 1).stopped(1); return 1 },
		"fence second-primary": func(s *scene) topology.NodeID {
			s.promoted(1).standby(2, 1).primary(0, "1",
				0x5000200)
			return 0
		},
		"nudge pool-blind": func(s *scene) topology.NodeID {
			s.poolPrimary(topology.NoNode).learn().later(time.Minute)
			return 0
		},
		"attach primary-detached": func(s *scene) topology.NodeID {
			s.status(0,
				topology.PoolDown).later(time.Hour)
			return 0
		},
		"resync/base-backup no-data": func(s *scene) topology.NodeID {
			lost(s, 2, topology.DirMissing)
			s.status(2, topology.PoolDown)
			return 2
		},
		"resync/follow wrong-upstream": func(s *scene) topology.NodeID {
			s.promoted(1)
			astray(s, 2)
			s.lineage(2, 1, topology.LineageOnLine)
			return 2
		},
		"resync/rewind diverged": func(s *scene) topology.NodeID {
			s.promoted(1).lineage(0, 1,
				topology.LineageDiverged)
			return 0
		},
		"resync/adopt old-primary-on-line": func(s *scene) topology.NodeID {
			s.promoted(1).lineage(0, 1,
				topology.LineageOnLine)
			return 0
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := newScene(t).learn()
			id := world(s)
			s.propose(nothing)
			before := s.mem.clone()
			for range 3 * maxAttaches {
				d := s.propose(nothing)[id]
				if got := short(d); got != want {
					t.Fatalf("%s, want %s: %s", got, want, d.Reason)
				}
			}
			if diff := cmp.Diff(before, s.mem); diff != "" {
				t.Errorf("a proposal left a mark:\n%s", diff)
			}
			s.propose(func(d Decision) bool { return d.Node == id })
			if diff := cmp.Diff(before, s.mem); diff == "" {
				t.Error("what was carried out left no mark")
			}
		})
	}
}

// TestFlappingCountsOnlyRealAttaches: a node is parked for attaches that were made,
// not for those that waited for their turn.
func TestFlappingCountsOnlyRealAttaches(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	made := 0
	for range 6000 {
		s.later(time.Second)
		turn := int(s.now.Unix())%3 == 0
		d := s.propose(func(Decision) bool { return turn })[1]
		if d.Action == Attach && turn {
			made++
			s.status(1, topology.PoolDown) // carried out, and it fell again
		}
		if d.Code == codes.Flapping {
			break
		}
	}
	if m := s.memory(1); made != maxAttaches+1 || m.Attaches != made || m.Parked != codes.Flapping {
		t.Errorf("%d attaches made, memory %+v", made, m)
	}
}

// TestThePrimaryIsNeverParked, however often it is attached.
func TestThePrimaryIsNeverParked(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(0, topology.PoolDown)
	attaches := 0
	for range 3000 {
		if s.later(time.Second).step()[0].Action == Attach {
			attaches++
			s.status(0, topology.PoolDown)
		}
	}
	if m := s.memory(0); attaches <= maxAttaches+1 || m.Parked != "" {
		t.Errorf("%d attaches, memory %+v", attaches, m)
	}
}
