package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/test/fakes/agentapitest"
	"github.com/repool/repool/test/fakes/virtual"
)

func TestHealthyPoolIsLeftAlone(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		w.pass(5 * time.Minute)
		w.wantDone("")
		for i := range w.nodes {
			w.wantCalls(i, "")
		}
		if n := w.seen(); n < 295 || n > 305 {
			t.Errorf("%d passes in five minutes, want one a second", n)
		}
		st := c.Status()
		if !st.Acting || len(st.Decisions) != 3 || st.Decisions[1].Code != codes.Healthy || st.Pass == 0 ||
			st.Version != "test" {
			t.Errorf("status: %+v", st)
		}
		if got := w.events(""); len(got) != 4 {
			t.Errorf("%d events of a pool in which nothing happens: %s", len(got), codesOf(got))
		}
	})
}

func TestAttachOnlyWhereDetached(t *testing.T) {
	inWorld(t, 3, func(_ *testing.T, w *world) {
		w.pools[0].set(1, topology.PoolDown)
		w.pools[2].set(1, topology.PoolDown)
		_, stop := w.run()
		defer stop()
		w.pass(20 * time.Second)
		w.wantDone("attach 1 on pool0, attach 1 on pool2")
	})
}

// TestDivergedNodeAttachedByHand goes through all there is: out of the pool,
// vaulted and rewound by its agent with our clearance, and back.
func TestDivergedNodeAttachedByHand(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.diverged(2)
		w.pools[0].set(2, topology.PoolUp)
		w.agents[2].StepTime = 2 * time.Second
		w.onFresh = func(w *world) {
			w.note("fresh look")
			if calls := w.agents[2].Calls(); len(calls) != 1 {
				t.Errorf("a look for clearance after %v", calls)
			}
		}
		_, stop := w.run()
		defer stop()
		w.pass(20 * time.Second)
		w.wantDone("detach 2 on pool0, fresh look, attach 2 on pool0, attach 2 on pool1")
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		if got := codesOf(w.events("run")); got != "started done" {
			t.Errorf("events of the run: %s", got)
		}
	})
}

func TestTwoNodesAreResyncedAtOnce(t *testing.T) {
	inWorld(t, 1, func(_ *testing.T, w *world) {
		w.diverged(1)
		w.dies(2)
		w.agents[1].StepTime, w.agents[2].StepTime = 20*time.Second, 20*time.Second
		_, stop := w.run()
		defer stop()
		w.pass(70 * time.Second)
		w.wantCalls(1, "StartRun rewind, Clear rewind")
		w.wantCalls(2, "StartRun start")
		w.wantDone("attach 2 on pool0, attach 1 on pool0")
	})
}

func TestSecondPrimaryIsFenced(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.nodes[2].SQL = topology.SQLFacts{SystemID: 42, Version: 150000, Timeline: 1, Current: 0x5000100}
		w.agents[2].State.Server = topology.ServerRunning
		w.agents[2].State.History = topology.History{TLI: 1}
		w.agents[2].Fail = func(call string) error {
			if call == "Fence" { // what the fence brings about, an instant early
				w.change(func() {
					w.nodes[2].SQL = topology.SQLFacts{Source: topology.Source{Err: "refused"}, Refused: true}
				})
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(20 * time.Second)
		w.wantCalls(2, "Fence, StartRun rewind, Clear rewind")
		w.wantDone("attach 2 on pool0")
		if got := w.events("fence"); len(got) != 1 || !strings.Contains(got[0].Text, "server stopped (fast") {
			t.Errorf("fence events: %+v", got)
		}
	})
}

// TestIdleSlotsOfAStandbyAreDropped: a former primary keeps the slots through which its standbys have streamed.
func TestIdleSlotsOfAStandbyAreDropped(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.nodes[1].SQL.Slots = []topology.Slot{{Name: "repool_node2", Physical: true}, {Name: "barman", Physical: true}}
		w.agents[1].Fail = func(call string) error {
			if call == "DropSlots" { // what it brings about, an instant early
				w.change(func() { w.nodes[1].SQL.Slots = w.nodes[1].SQL.Slots[1:] })
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(5 * time.Second)
		w.wantCalls(1, "DropSlots repool_node2")
		w.wantDone("")
		if got := w.events("slots"); len(got) != 1 || !strings.HasPrefix(got[0].Text, "repool_node2 dropped") {
			t.Errorf("events: %+v", got)
		}
	})
}

// TestIdleSlotsThatCannotBeDroppedHarmNothing: it is tried again now and then, and the node stays well.
func TestIdleSlotsThatCannotBeDroppedHarmNothing(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.nodes[1].SQL.Slots = []topology.Slot{{Name: "repool_node2", Physical: true}}
		tries := 0
		w.agents[1].Fail = func(call string) error {
			if call != "DropSlots" {
				return nil
			}
			tries++
			return errNoRoute
		}
		c, stop := w.run()
		defer stop()
		w.pass(3*time.Minute + 30*time.Second)
		if tries < 3 || tries > 4 {
			t.Errorf("%d tries in three and a half minutes", tries)
		}
		if d := c.Status().Decisions[1]; d.Code != codes.Healthy || d.Severity != codes.OK {
			t.Errorf("decided %s (%s)", d.Code, d.Severity)
		}
		if got := w.events("slots"); len(got) != 0 {
			t.Errorf("events: %+v", got)
		}
	})
}

func TestFenceThatFailsIsTriedAgainInTime(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.nodes[2].SQL = topology.SQLFacts{SystemID: 42, Version: 150000, Timeline: 1, Current: 0x5000100}
		w.agents[2].State.Server = topology.ServerRunning
		w.agents[2].State.History = topology.History{TLI: 1}
		w.agents[2].Fail = func(call string) error {
			if call == "Fence" {
				return errNoRoute
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(3 * time.Minute)
		if n := len(w.events("fence")); n < 3 || n > 15 {
			t.Errorf("%d tries in three minutes", n)
		}
	})
}

// TestNudge: detach, then attach, and only where the primary is not seen: where
// it is, a detach would be a failover.
func TestNudge(t *testing.T) {
	inWorld(t, 2, func(_ *testing.T, w *world) {
		w.pools[0].view.Primary = topology.NoNode
		_, stop := w.run()
		defer stop()
		w.pass(time.Minute)
		w.wantDone("detach 0 on pool0, attach 0 on pool0")
	})
}

// TestNudgeIsNotLeftHalfDone: told to stop between the two, the primary must
// not stay detached.
func TestNudgeIsNotLeftHalfDone(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.pools[0].view.Primary = topology.NoNode
		w.pools[0].takes = time.Second
		_, stop := w.run()
		for w.done() == "" {
			w.pass(100 * time.Millisecond)
		}
		w.pass(500 * time.Millisecond)
		stop()
		if w.pools[0].view.Nodes[0].Status == topology.PoolDown || !strings.HasSuffix(w.done(), "attach 0 on pool0") {
			t.Errorf("left at: %s", w.done())
		}
	})
}

// TestOneOrderAtATime: a Pgpool-II that takes its time is not asked twice.
func TestOneOrderAtATime(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.pools[0].set(1, topology.PoolDown)
		w.pools[0].takes = 4500 * time.Millisecond // fakePool minds two at once
		_, stop := w.run()
		defer stop()
		w.pass(4 * time.Second)
		w.wantDone("attach 1 on pool0")
		if n := w.seen(); n < 10 {
			t.Errorf("%d passes: the loop waits for Pgpool-II", n)
		}
		w.pass(20 * time.Second)
		w.wantDone("attach 1 on pool0")
	})
}

// TestDetachDuringARun (P1): a node that somebody attaches in the middle of
// its resync is taken out of the pool at once, not at the end of the run.
func TestDetachDuringARun(t *testing.T) {
	inWorld(t, 1, func(_ *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = time.Hour
		_, stop := w.run()
		defer stop()
		w.pass(20 * time.Second)
		w.wantCalls(2, "StartRun rewind")
		w.change(func() { w.pools[0].set(2, topology.PoolUp) })
		w.pass(2 * time.Second)
		w.wantDone("detach 2 on pool0")
	})
}

func TestOnlyTheLeaderWithQuorumActs(t *testing.T) {
	for name, wd := range map[string]topology.Watchdog{
		"standby":             {Enabled: true, Quorum: 1, State: "STANDBY"},
		"leader, no quorum":   {Enabled: true, Leader: true, Quorum: -1, State: "LEADER"},
		"no leader is known":  {Enabled: true, Quorum: -2, State: "JOINING"},
		"no answer, not sure": {},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				w.diverged(2)
				w.pools[0].set(1, topology.PoolDown)
				w.pools[0].set(2, topology.PoolUp)
				w.pools[0].view.Watchdog = wd
				if !wd.Enabled {
					w.pools[0].view.Err = "no answer"
				}
				w.agents[1].Adopt("somebody", topology.RunRequest{ID: "other", Node: 1, Method: topology.MethodRewind})
				hooks := hooksLeft(1, nil)
				w.opts.Unfinished = hooks
				c, stop := w.run()
				defer stop()
				w.pass(time.Minute)
				w.wantDone("")
				w.wantCalls(1, "")
				w.wantCalls(2, "")
				if st := c.Status(); st.Acting || st.Why == "" {
					t.Errorf("acting %v, why %q", st.Acting, st.Why)
				}
				if hooks.calls.Load() != 0 {
					t.Error("it resumed hooks")
				}
			})
		})
	}
}

// TestHistoryThatCannotBeWritten does not stop the healing.
func TestHistoryThatCannotBeWritten(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		c, stop := w.run()
		defer stop()
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		w.pass(20 * time.Second)
		w.wantDone("attach 2 on pool0")
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		before := c.Status()
		if err := c.Hold(t.Context(), holdOf(1)); err == nil || !strings.Contains(err.Error(), "would be forgotten") {
			t.Errorf("a hold that is not on disk: %v", err)
		}
		w.pass(2 * time.Second)
		if len(before.Memory.Holds) != 0 {
			t.Error("a status changes after it was published")
		}
		if st := c.Status(); len(st.Memory.Holds) != 1 {
			t.Error("the hold is not in force")
		}
	})
}

// TestLookNeverBlocksNorRacesTheLoop: whoever asks, and however often.
func TestLookNeverBlocksNorRacesTheLoop(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		w.pass(interval / 2)
		before := w.seen()
		c.Look("once")
		w.pass(10 * time.Millisecond)
		if n := w.seen(); n != before+1 {
			t.Errorf("%d passes right after a look was requested", n-before)
		}
		before = w.seen()
		for range 10_000 {
			c.Look("storm")
			virtual.Sleep(time.Millisecond)
		}
		if n := w.seen() - before; n < 100 || n > 201 {
			t.Errorf("%d passes in 10 s of asking all the time", n)
		}
		stop()
		for range 100 {
			c.Look("after the end")
		}
	})
}

// TestLookDuringAPassIsNotLost: what changes after a pass has looked is seen by
// the next, at once.
func TestLookDuringAPassIsNotLost(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		var c *Controller
		// The primary is noted in the middle of the first pass.
		w.opts.NotePrimary = func(topology.Promotion, time.Time) error {
			w.change(func() { w.pools[0].set(2, topology.PoolDown) })
			c.Look("in the middle of a pass")
			return nil
		}
		w.opts.Store = w.store
		var err error
		if c, err = New(t.Context(), w.opts); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		w.pass(interval / 2)
		w.wantDone("attach 2 on pool0")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestStopLeavesRunsToTheirAgents(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.dies(2)
		w.agents[2].StepTime = time.Minute
		_, stop := w.run()
		w.pass(10 * time.Second)
		stop()
		if _, err := w.agents[2].Acquire(t.Context(), "somebody else"); err == nil {
			t.Error("the run was ended with its controller")
		}
		w.agents[2].Change(func(f *agentapitest.Fake) { f.OnDone = nil })
		w.pass(3 * time.Minute)
		if got := codesOf(w.events("controller")); got != "started stopped" {
			t.Errorf("events: %s", got)
		}
	})
}
