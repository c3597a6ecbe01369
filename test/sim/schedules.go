package sim

import (
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// schedule is the faults of a world while they are drawn.
type schedule struct {
	d     *dice
	nodes int
	begin time.Duration // when the first fault comes
	all   []Fault
}

func (s *schedule) add(after time.Duration, kind string, n topology.NodeID, lasts time.Duration, arg string) {
	s.all = append(s.all, Fault{At: s.begin + after, Kind: kind, Node: n, For: lasts, Arg: arg})
}

func (s *schedule) last() topology.NodeID { return topology.NodeID(s.nodes - 1) }

// more are schedules that some worlds have beside their other faults.
func (s *schedule) more() {
	if s.d.chance(10) && s.nodes > 2 {
		s.awayOnOneNumber()
	}
	if s.d.chance(8) && s.nodes > 2 { // somebody promotes a standby beside the primary, late
		s.all = []Fault{{At: s.begin, Kind: "promote by hand", Node: s.last(), With: s.last()}}
	}
}

// awayOnOneNumber is two promotions to one timeline number from one position. One of
// the two takes commits and stays away, until the pool has gone on to the next timeline
// and has recycled its WAL: then the content of the two lines can no longer be compared.
func (s *schedule) awayOnOneNumber() {
	const second = time.Second
	away := s.last()
	s.add(0, "kill server", 0, 0, "")
	s.add(50*time.Millisecond, "isolate", away, 30*second, "none")
	s.add(60*time.Millisecond, "promote by hand", away, 0, "")
	s.add(160*time.Millisecond, "write directly", away, 0, "")
	for i := range s.d.below(3) {
		s.add(time.Duration(2+i)*second, "write directly", away, 0, "")
	}
	if s.d.chance(50) { // past where the pool will leave this timeline
		s.add(7*second, "write directly", away, 0, "there")
	}
	s.add(9*second, "kill server", away, 0, "")
	s.add(s.d.between(10*second, 20*second), "kill server", 1, 0, "")
	s.add(26*second, "recycle WAL", 0, 0, "there")
	s.add(27*second, "demote when left behind", away, 0, "")
}
