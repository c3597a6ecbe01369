package plan

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// An agent's clock may be wrong: the pause after its failed run may not depend on it.
func TestBackoffGoesByTheControllersClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-24 * time.Hour, -10 * time.Minute, 0, time.Hour} {
		s := newScene(t).learn()
		s.stopped(1).status(1, topology.PoolDown).failed(1, "run1", topology.MethodStart, codes.SlotFailed)
		s.node(1).Agent.Run.Ended = s.now.Add(off)
		s.expect("", "wait backing-off")
		s.later(s.pol.BackoffBase * 7 / 10)
		s.expect("", "wait backing-off")
		s.later(s.pol.BackoffBase * 6 / 10)
		s.expect("", "resync/start standby-down")
	}
}

// The controller's clock was ahead when it saved its memory. A foreign node is
// detached and a node is resynced all the same.
func TestAMemoryFromTheFutureHoldsNothingUp(t *testing.T) {
	t.Parallel()
	future := start.Add(24 * time.Hour)
	s := newScene(t).learn()
	s.sql(1).SystemID = otherSys
	s.node(1).Agent.Control.SystemID = otherSys
	s.stopped(2).status(2, topology.PoolDown)
	for id := range topology.NodeID(3) {
		m := s.memory(id)
		m.LastDetach, m.LastAttach, m.LastResync, m.LastFence, m.LastFailure = future, future, future, future, future
	}
	s.expect("", "detach foreign-system", "resync/start standby-down")
}

// Pgpool-II's clock may be ahead, too: that it marked a node down does not last for hours.
func TestAFailoverInTheFutureIsNotUnderWay(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown).poolPrimary(1)
	s.snap.Pools[0].Node(1).LastChange = s.now.Add(time.Hour)
	s.learn().later(s.pol.NudgeAfter + failoverPatience)
	s.snap.Pools[0].Node(1).LastChange = s.now.Add(time.Hour)
	w := newWorld(s.mem, s.snap, s.pol, s.now)
	if w.midFailover() {
		t.Error("a failover is under way for an hour")
	}
}

// Every stamp that the memory has is void after now, a field that is added later included.
// A hold's end is meant to be later, and Pgpool-II's mark is compared with itself only.
func TestNoStampOfTheMemoryIsAfterNow(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.mem.Holds = []Hold{{Node: 2, Who: "a person", Why: "a test"}}
	s.memory(1).IgnoredRequests, s.memory(1).IgnoredChecks = Ignored{Count: 1}, Ignored{Count: 1}
	future := s.now.Add(time.Hour)
	filled := eachStamp(reflect.ValueOf(&s.mem).Elem(), "Memory", func(_ string, at *time.Time) { *at = future })
	if filled < 20 {
		t.Fatalf("%d stamps found", filled)
	}
	mem := s.mem.until(s.now)
	if mem.Holds[0].Since.IsZero() || mem.Nodes[0].NotStreamingSince.IsZero() {
		t.Error("what lasts does not begin now")
	}
	eachStamp(reflect.ValueOf(&mem).Elem(), "Memory", func(name string, at *time.Time) {
		exempt := strings.HasSuffix(name, ".Until") || strings.HasSuffix(name, ".Mark")
		if at.After(s.now) != exempt {
			t.Errorf("%s is %s, now is %s", name, at, s.now)
		}
	})
	eachStamp(reflect.ValueOf(&s.mem).Elem(), "Memory", func(name string, at *time.Time) {
		if !at.Equal(future) {
			t.Errorf("the argument's %s was changed", name)
		}
	})
}

// eachStamp calls do with every time in v and counts them.
func eachStamp(v reflect.Value, name string, do func(name string, at *time.Time)) (n int) {
	if at, ok := v.Addr().Interface().(*time.Time); ok {
		do(name, at)
		return 1
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			n += eachStamp(v.Field(i), name+"."+v.Type().Field(i).Name, do)
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += eachStamp(v.Index(i), name, do)
		}
	}
	return n
}
