package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// until steps once a second until node's decision has the code, for at most so
// long, and counts the requests made of Pgpool-II for it meanwhile.
func (s *scene) until(node topology.NodeID, code codes.Code, most time.Duration) (requests int, d Decision) {
	s.t.Helper()
	for since := s.now; s.now.Sub(since) < most; {
		d = s.later(time.Second).step()[node]
		if d.Code == code {
			return requests, d
		}
		if d.Action == Attach || d.Action == Detach {
			requests++
		}
	}
	s.t.Fatalf("node %s: no %s within %s, but %s %s: %s", node, code, most, d.Action, d.Code, d.Reason)
	return 0, d
}

func (s *scene) wantsRestart(d Decision) {
	s.t.Helper()
	if d.Action != None && d.Action != Wait || d.Severity != codes.Refused ||
		!strings.Contains(d.Hint, "restart Pgpool-II") {
		s.t.Errorf("%+v", d)
	}
}

// A Pgpool-II that knows the right primary and carries out no attach. A node
// that waits for it is not parked: it is attached as soon as there is another.
func TestAttachesThatAreNotCarriedOut(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	requests, d := s.until(1, codes.PoolUnresponsive, 45*time.Second)
	s.wantsRestart(d)
	if requests < maxIgnoredRequests || requests >= maxAttaches {
		t.Errorf("%d requests", requests)
	}
	for range 600 {
		s.later(time.Second)
		s.expect("none primary", "none pool-unresponsive", "none healthy")
	}
	s.status(1, topology.PoolDown) // as a restarted one reads it from its file
	s.expect("", "attach ready")
	s.later(time.Second).status(1, topology.PoolUp)
	s.expect("", "none healthy")
	if m := s.memory(1); m.Parked != "" || m.IgnoredRequests.Count != 0 {
		t.Errorf("memory %+v", m)
	}
}

// It must be said, too, of a node that must not be attached (P1) and is.
func TestDetachesThatAreNotCarriedOut(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.node(2).SQL.Receiver = topology.WALReceiver{}
	s.lineage(2, 0, topology.LineageDiverged)
	s.expect("", "", "detach attached-diverged")
	_, d := s.until(2, codes.PoolUnresponsive, 40*time.Second)
	s.wantsRestart(d)
	s.status(2, topology.PoolUp) // it was restarted, and holds the node for up
	s.expect("", "", "detach attached-diverged")
}

// Pgpool-II's own health check finds the last primary dead, and no failover
// comes of it.
func TestFailoverThatIsNotMade(t *testing.T) {
	t.Parallel()
	dead := func(t *testing.T) *scene {
		s := newScene(t).learn()
		s.stopped(0)
		for _, id := range []topology.NodeID{1, 2} {
			s.node(id).SQL.Receiver = topology.WALReceiver{}
		}
		s.expect("wait primary-unreachable", "wait primary-unreachable", "wait primary-unreachable")
		return s
	}
	fails := func(s *scene, n int) { s.snap.Pools[0].Node(0).Checks.Fail = n }
	t.Run("while its health checks fail", func(t *testing.T) {
		t.Parallel()
		s := dead(t)
		begun := s.now
		for n := 1; s.now.Sub(begun) < ignoredPatience; n++ {
			fails(s, n)
			s.expect("wait primary-unreachable", "wait primary-unreachable", "wait primary-unreachable")
			s.later(time.Second)
		}
		fails(s, 40)
		s.expect("wait pool-unresponsive", "wait pool-unresponsive", "wait pool-unresponsive")
		s.wantsRestart(s.step()[0])
		s.status(0, topology.PoolUp) // restarted: it gets its time again
		fails(s, 0)
		s.expect("wait primary-unreachable")
		fails(s, 5)
		s.expect("wait primary-unreachable")
	})
	t.Run("not without a failed check: it may have none", func(t *testing.T) {
		t.Parallel()
		s := dead(t)
		s.later(time.Hour)
		s.expect("wait primary-unreachable")
		fails(s, 1) // the first one fails at last
		s.expect("wait primary-unreachable")
		s.later(ignoredPatience)
		fails(s, maxIgnoredChecks)
		s.expect("wait primary-unreachable")
	})
	t.Run("not of one that may not be failed over", func(t *testing.T) {
		t.Parallel()
		s := dead(t)
		s.node(0).NoFailover = true
		fails(s, 1)
		s.step()
		s.later(ignoredPatience)
		fails(s, 100)
		s.expect("wait primary-unreachable")
	})
	t.Run("not while a frozen server keeps it waiting", func(t *testing.T) {
		t.Parallel()
		s := dead(t)
		fails(s, 1)
		s.step()
		s.node(2).SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}}
		s.node(2).Agent.Server = topology.ServerFrozen
		s.later(ignoredPatience)
		fails(s, 100)
		s.expect("wait primary-unreachable")
	})
}
