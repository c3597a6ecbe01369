package hook

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

func TestFailoverTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(dead(), standby(0x100), standby(0x200))
	d := w.deps(t)
	for i, want := range []Code{CodePromoted, CodeAlreadyPrimary, CodeAlreadyPrimary} {
		if r, err := Failover(t.Context(), d, lost); err != nil || r.Code != want || r.Node != 2 {
			t.Errorf("call %d: %+v, %v", i, r, err)
		}
	}
	if len(w.order) != 1 {
		t.Errorf("promotions %v", w.order)
	}
}

func TestFailoverByTwoHooksAtOnce(t *testing.T) {
	t.Parallel()
	slow := standby(0x200)
	slow.polls = 5
	w := newWorld(dead(), slow, standby(0x200))
	d := w.deps(t)
	var hooks sync.WaitGroup
	for i := range 4 {
		// Each Pgpool-II has another choice.
		hooks.Go(func() {
			if _, err := Failover(t.Context(), d, event012(0, 0, topology.NodeID(1+i%2))); err != nil {
				t.Error(err)
			}
		})
	}
	hooks.Wait()
	if got := w.primaries(); len(got) != 1 || len(w.order) != 1 {
		t.Errorf("primaries %v after promotions %v", got, w.order)
	}
}

func TestFailoverWaitsForTheLockNotForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(dead(), standby(0x100))
	d := w.deps(t)
	d.Limits.Lock = 30 * time.Millisecond
	unlock, err := lockFailover(t.Context(), d.stateDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Failover(t.Context(), d, lost)
	if r.Code != CodeBusy || exit.Code(err) != exit.Unfinished {
		t.Errorf("%+v, %v", r, err)
	}
	if events, err := Pending(d.stateDir()); err != nil || len(events) != 0 {
		t.Errorf("pending while a hook is at work: %v, %v", events, err)
	}
	unlock()
	events, err := Pending(d.stateDir())
	if err != nil || len(events) != 1 {
		t.Fatalf("pending %v, %v", events, err)
	}
	if r, err := Resume(t.Context(), d, events[0]); err != nil || r.Code != CodePromoted {
		t.Errorf("resumed: %+v, %v", r, err)
	}
}

// A state directory that cannot be written must not cost the promotion.
func TestFailoverWithoutAStateDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(dead(), standby(0x100))
	d := w.deps(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.Pool.Controller.StateDir = file
	if r, err := Failover(t.Context(), d, lost); err != nil || r.Code != CodePromoted {
		t.Errorf("%+v, %v", r, err)
	}
	if !strings.Contains(w.log.String(), "continuing without") {
		t.Errorf("log:\n%s", w.log.String())
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	w := newWorld(dead(), dead(), dead())
	d := w.deps(t)
	if _, err := Failover(t.Context(), d, lost); exit.Code(err) != exit.Unreachable {
		t.Fatal(err)
	}
	resume := func() Result {
		t.Helper()
		events, err := Pending(d.stateDir())
		if err != nil || len(events) != 1 {
			t.Fatalf("pending %v, %v", events, err)
		}
		r, _ := Resume(t.Context(), d, events[0])
		return r
	}
	told := w.log.Len()
	for range 3 {
		if r := resume(); r.Code != CodeNoCandidate {
			t.Fatalf("%+v", r)
		}
	}
	if w.log.Len() != told || w.pokes != 1 {
		t.Errorf("the same was told again:\n%s", w.log.String())
	}
	w.nodes[2] = standby(0x100)
	if r := resume(); r.Code != CodePromoted || r.Node != 2 {
		t.Errorf("%+v", r)
	}
	if events, err := Pending(d.stateDir()); err != nil || len(events) != 0 {
		t.Errorf("still pending: %v, %v", events, err)
	}
}

// What comes back as the primary while nothing was promoted has everything.
func TestResumeLeavesThePrimaryThatCameBack(t *testing.T) {
	t.Parallel()
	w := newWorld(dead(), dead(), dead())
	d := w.deps(t)
	if _, err := Failover(t.Context(), d, lost); err == nil {
		t.Fatal("promoted?")
	}
	w.nodes[0], w.nodes[1] = primary(), standby(0x100)
	events, err := Pending(d.stateDir())
	if err != nil || len(events) != 1 {
		t.Fatalf("pending %v, %v", events, err)
	}
	r, err := Resume(t.Context(), d, events[0])
	if err != nil || r.Code != CodePrimaryBack || w.nodes[0].fenced != 0 || len(w.order) != 0 {
		t.Errorf("%+v, %v, fenced %d", r, err, w.nodes[0].fenced)
	}
}

// A node that hangs is waited for, and what the others said is out of date by then: one
// of them has been promoted by hand.
func TestAnswersAreNotOlderThanTheWaitForAnother(t *testing.T) {
	t.Parallel()
	promoted := standby(0x100)
	promoted.onFacts = func(n *fakeNode) { n.facts = Facts{SystemID: 77, History: line2} }
	hangs := standby(0x100)
	hangs.silent = true
	w := newWorld(dead(), standby(0x200), promoted, hangs)
	d := w.deps(t)
	d.Limits.Probe = answersAge + 200*time.Millisecond
	r, err := Failover(t.Context(), d, lost)
	if err != nil || r.Code != CodeAlreadyPrimary || r.Node != 2 || len(w.order) != 0 {
		t.Errorf("%+v, %v; asked to be promoted: %v", r, err, w.order)
	}
}
