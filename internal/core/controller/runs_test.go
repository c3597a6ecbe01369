package controller

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/test/fakes/agentapitest"
	"github.com/repool/repool/test/fakes/virtual"
)

// TestRunOfAnEarlierControllerIsTakenOver: killed and started again, it is let
// in to its own run and clears it.
func TestRunOfAnEarlierControllerIsTakenOver(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = 5 * time.Second
		first, stop := w.run()
		w.pass(2 * time.Second)
		stop()
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		w.wantCalls(2, "StartRun rewind")
		w.reopen()
		second, stop := w.run()
		defer stop()
		if first.exec.holder != second.exec.holder {
			t.Errorf("holder %q after %q", second.exec.holder, first.exec.holder)
		}
		w.pass(30 * time.Second)
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		w.wantDone("attach 2 on pool0")
		if got := codesOf(w.events("run")); got != "started done" {
			t.Errorf("events: %s", got)
		}
	})
}

// TestRunOfAnotherControllerIsWatchedOnly: it may be alive, and clears what it
// has begun, or it is dead; then the run ends without, and ours follows.
func TestRunOfAnotherControllerIsWatchedOnly(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].ClearanceWait = time.Minute
		w.agents[2].Adopt("another controller", topology.RunRequest{ID: "other", Node: 2, Method: topology.MethodRewind})
		var asked atomic.Int32
		w.agents[2].Fail = func(call string) error {
			switch call {
			case "Acquire":
				asked.Add(1)
			case "Watch":
				if asked.Load() < 4 {
					return errNoRoute
				}
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(50 * time.Second)
		w.wantCalls(2, "")
		if n := asked.Load(); n != 4 {
			t.Errorf("asked %d times for a token, want each five seconds until it could be watched", n)
		}
		if n := w.seen(); n > 50_000/150+10 {
			t.Errorf("%d passes in 50 s", n)
		}
		w.pass(time.Minute)
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		if got := codesOf(w.events("run")); got != "failed started done" {
			t.Errorf("events: %s", got)
		}
	})
}

// TestRunFromALostPrimaryIsCancelled, also by a controller that took it over
// with a token of its own.
func TestRunFromALostPrimaryIsCancelled(t *testing.T) {
	for name, restart := range map[string]bool{"by the one that began it": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.dies(2)
				w.agents[2].StepTime = time.Minute
				_, stop := w.run()
				w.pass(2 * time.Second)
				if restart {
					stop()
					_, stop = w.run()
					w.pass(2 * time.Second)
				}
				defer stop()
				w.wantCalls(2, "StartRun start")
				w.change(func() {
					w.dies(0)
					line3 := topology.History{TLI: 3, Ancestors: append(line2.Ancestors[:1:1],
						topology.HistoryEntry{TLI: 2, Switch: 0x6000000})}
					w.nodes[1].SQL = topology.SQLFacts{SystemID: 42, Version: 150000, Timeline: 3, Current: 0x6000100}
					w.agents[1].Change(func(f *agentapitest.Fake) { f.State.History, f.State.StandbySignal = line3, false })
					w.pools[0].view.Primary = 1
				})
				w.pass(2 * time.Second)
				if got := w.agents[2].Calls(); len(got) < 2 || got[1] != "Cancel" {
					t.Errorf("asked of its agent: %v", got)
				}
				if ev := codesOf(w.events("run")); !strings.Contains(ev, "cancel-asked cancelled") {
					t.Errorf("events: %s", ev)
				}
			})
		})
	}
}

func TestRunThatCannotBeStarted(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.dies(2)
		var asked atomic.Int32
		w.agents[2].Fail = func(call string) error {
			if call == "StartRun" {
				asked.Add(1)
				return agentapi.ErrRefused
			}
			return nil
		}
		c, stop := w.run()
		defer stop()
		w.pass(10 * time.Minute)
		if n := asked.Load(); n < 5 || n > 20 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if ev := w.events("run"); len(ev) != 1 || ev[0].Code != "not-started" {
			t.Errorf("events: %s", codesOf(ev))
		}
		// A person's word ends the waiting.
		before := asked.Load()
		if err := c.Release(t.Context(), 2, "ann"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		if asked.Load() == before {
			t.Error("a release does not make it try again")
		}
	})
}

// TestWatchThatBreaks: the run is taken up again, and its end is recorded.
func TestWatchThatBreaks(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = 2 * time.Second
		broken := 3
		w.agents[2].Fail = func(call string) error {
			if call == "Watch" && broken > 0 {
				broken--
				return errors.New("connection reset")
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(30 * time.Second)
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		if got := codesOf(w.events("run")); got != "started done" {
			t.Errorf("events: %s", got)
		}
	})
}

// TestAgentThatStallsGetsNoOldOrder: what was decided before an agent was free
// is decided again.
func TestAgentThatStallsGetsNoOldOrder(t *testing.T) {
	inWorld(t, 1, func(_ *testing.T, w *world) {
		w.dies(2)
		stalls := 1
		w.agents[2].Fail = func(call string) error {
			if call == "Acquire" && stalls > 0 {
				stalls--
				virtual.Sleep(4 * time.Second)
				w.change(func() { // meanwhile somebody else has started it
					w.streams(2)
				})
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(30 * time.Second)
		w.wantCalls(2, "")
		w.wantDone("attach 2 on pool0")
	})
}

func TestRunThatFailsIsRecordedAndRetried(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].ClearanceWait = time.Second
		w.agents[2].OnDone = nil
		w.agents[2].Fail = func(call string) error {
			if call == "Clear" {
				return errNoRoute
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(20 * time.Second)
		ev := w.events("run")
		failed := 0
		for _, e := range ev {
			if e.Code == "failed" && len(e.Data) > 0 {
				failed++
			}
		}
		if failed < 2 {
			t.Errorf("events: %s", codesOf(ev))
		}
		w.agents[2].Change(func(f *agentapitest.Fake) { f.Fail = nil })
	})
}
