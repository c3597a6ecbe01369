package controller

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

// TestRunThatEndsUnseenIsAccountedForOnce: the controller goes in the middle of
// a run, the run ends, and the next controller has it in history, metrics and
// traces; the one after that does not again.
func TestRunThatEndsUnseenIsAccountedForOnce(t *testing.T) {
	for name, c := range map[string]struct {
		goes    time.Duration // into the run, of which each step takes 5 s
		forgets bool          // the node no longer knows of the run
		code    string
	}{
		"done":                      {7 * time.Second, false, "done"},
		"failed for want of a word": {2 * time.Second, false, "failed"},
		"the node knows nothing":    {7 * time.Second, true, codeEndUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				var forgets atomic.Bool
				w.diverged(2)
				w.agents[2].StepTime, w.agents[2].ClearanceWait = 5*time.Second, 10*time.Second
				w.agents[2].Fail = func(call string) error {
					if call == "Run" && forgets.Load() {
						return fmt.Errorf("run: %w", agentapi.ErrNoRun)
					}
					return nil
				}
				_, stop := w.run()
				w.pass(c.goes)
				stop()
				began := w.events("run")
				if codesOf(began) != "started" {
					t.Fatalf("before it goes: %s", codesOf(began))
				}
				w.pass(time.Minute)
				forgets.Store(c.forgets)
				for restart, want := range []int{1, 0} {
					if err := w.store.Close(); err != nil {
						t.Fatal(err)
					}
					w.reopen()
					l := &listener{}
					w.opts.Audience = []Audience{l}
					_, stop = w.run()
					w.pass(accountAfter - 2*time.Second)
					if n := l.of(began[0].Run); n != 0 {
						t.Errorf("restart %d: told before the first scrape", restart)
					}
					w.pass(2 * time.Minute)
					stop()
					if c.forgets {
						want = 0 // of its figures nothing is known
					}
					if n := l.of(began[0].Run); n != want {
						t.Errorf("restart %d: the audience heard of its end %d times, want %d", restart, n, want)
					}
				}
				var ends []string
				for _, e := range w.events("run") {
					if e.Run == began[0].Run && e.Code != "started" {
						ends = append(ends, e.Code)
					}
				}
				if !slices.Equal(ends, []string{c.code}) {
					t.Errorf("ends in the history: %v, want one: %s", ends, c.code)
				}
				w.wantDone("attach 2 on pool0")
			})
		})
	}
}

// of is how often the end of a run was heard of.
func (l *listener) of(run string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.runs {
		if r.ID == run {
			n++
		}
	}
	return n
}

// TestRunLostFromSightThatEndsWell is in no snapshot any more, and accounted for.
func TestRunLostFromSightThatEndsWell(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.dies(2)
		w.agents[2].StepTime = 10 * time.Second
		var away, back atomic.Bool
		w.agents[2].Fail = func(call string) error {
			switch {
			case call == "StartRun":
				away.Store(true)
			case away.Load() && !back.Load():
				return errNoRoute
			}
			return nil
		}
		l := &listener{}
		w.opts.Audience = []Audience{l}
		_, stop := w.run()
		defer stop()
		w.pass(time.Minute)
		back.Store(true)
		w.pass(time.Minute)
		if len(l.runs) != 1 || l.runs[0].Outcome != topology.RunDone {
			t.Errorf("runs: %+v", l.runs)
		}
		if got := codesOf(w.events("run")); got != "started done" {
			t.Errorf("events: %s", got)
		}
	})
}
