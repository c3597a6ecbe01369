package controller

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

func holdOf(n topology.NodeID) control.HoldRequest {
	return control.HoldRequest{Node: n, Who: "ann", Why: "new disk"}
}

// codeOf is the controller's newest decision on a node.
func codeOf(c *Controller, n topology.NodeID) codes.Code {
	if d := decisionFor(c.Status(), n); d != nil {
		return d.Code
	}
	return ""
}

func TestHoldAndRelease(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		w.pass(interval)
		for _, n := range []topology.NodeID{1, topology.NoNode} {
			if err := c.Hold(t.Context(), holdOf(n)); err != nil {
				t.Fatal(err)
			}
			w.change(func() { w.pools[0].set(1, topology.PoolDown) })
			w.pass(time.Minute)
			w.wantDone("")
			if codeOf(c, 1) != codes.OnHold {
				t.Errorf("hold of %s: node 1 is %s", n, codeOf(c, 1))
			}
			if err := c.Release(t.Context(), n, "ann"); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Minute)
			w.wantDone("attach 1 on pool0")
			w.change(func() { w.trace = nil })
		}
		if got := codesOf(w.events("hold")) + " " + codesOf(w.events("release")); got != "on-hold on-hold released released" {
			t.Errorf("events: %s", got)
		}
	})
}

func TestHoldEndsByItself(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		r := holdOf(1)
		r.Until = time.Now().Add(10 * time.Minute)
		if err := c.Hold(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		w.change(func() { w.pools[0].set(1, topology.PoolDown) })
		w.pass(9 * time.Minute)
		w.wantDone("")
		w.pass(2 * time.Minute)
		w.wantDone("attach 1 on pool0")
	})
}

func TestHoldsAndParkedNodesSurviveARestart(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.dies(2)
		w.agents[2].OnDone = nil // it never streams, whatever is tried
		w.agents[2].State.FreeBytes = 0
		c, stop := w.run()
		if err := c.Hold(t.Context(), holdOf(1)); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		c.memory.change(func(m plan.Memory) plan.Memory { // as the planner does after many failures
			m.Nodes = slices.Clone(m.Nodes)
			m.Nodes[2].Parked, m.Nodes[2].ParkedWhy, m.Nodes[2].ParkedAt = codes.StartFailed, "failed", time.Now()
			return m
		})
		w.pass(2 * time.Second)
		stop()
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		before := len(w.agents[2].Calls())
		w.reopen()
		c, stop = w.run()
		defer stop()
		w.change(func() { w.pools[0].set(1, topology.PoolDown) })
		w.pass(time.Minute)
		w.wantDone("")
		if codeOf(c, 1) != codes.OnHold || codeOf(c, 2) != codes.StartFailed || len(w.agents[2].Calls()) != before {
			t.Errorf("after the restart node 1 is %s, node 2 %s, asked %v", codeOf(c, 1), codeOf(c, 2), w.agents[2].Calls())
		}
		mem, err := LoadMemory(t.Context(), w.store)
		if err != nil || len(mem.Holds) != 1 || mem.Primary != 0 || !mem.History.Equal(line2) {
			t.Errorf("memory: %+v, %v", mem, err)
		}
		if err := c.Resync(t.Context(), control.ResyncRequest{Node: 2, Who: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Second)
		if len(w.agents[2].Calls()) == before {
			t.Error("a person's word does not end the parking")
		}
	})
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		ctx := t.Context()
		over := holdOf(1)
		over.Until = time.Now().Add(-time.Hour)
		for name, err := range map[string]error{
			"hold":          c.Hold(ctx, holdOf(7)),
			"hold till now": c.Hold(ctx, over),
			"release":       c.Release(ctx, 7, "ann"),
			"resync":        c.Resync(ctx, control.ResyncRequest{Node: 7}),
			"resync all":    c.Resync(ctx, control.ResyncRequest{Node: topology.NoNode}),
			"no method":     c.Resync(ctx, control.ResyncRequest{Node: 1, Method: "magic"}),
			"recover":       c.Recover(ctx, 7, func(string) {}),
			"checkpoint":    c.Checkpoint(ctx, 7),
		} {
			var re *control.RefusedError
			if !errors.As(err, &re) || re.Code == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := c.Checkpoint(ctx, 1); err == nil {
			t.Error("a checkpoint by a controller that cannot")
		}
	})
}

// TestCheckpoints: one at a time for a node, one more for all that asked
// meanwhile, and none outlives the controller.
func TestCheckpoints(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		var runs, open atomic.Int32
		w.opts.Checkpoint = func(ctx context.Context, _ topology.NodeID) error {
			runs.Add(1)
			if open.Add(1) > 1 {
				t.Error("two at once")
			}
			defer open.Add(-1)
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c, stop := w.run()
		for range 5 {
			if err := c.Checkpoint(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
		w.pass(10 * time.Minute)
		if runs.Load() != 2 {
			t.Errorf("%d checkpoints for five that asked at once", runs.Load())
		}
		if err := c.Checkpoint(t.Context(), 1); err != nil {
			t.Error(err)
		}
		w.pass(time.Second)
		stop()
		if err := c.Checkpoint(t.Context(), 1); err == nil || runs.Load() != 3 {
			t.Errorf("after the end: %v, %d checkpoints", err, runs.Load())
		}
	})
}

// TestGarbledMemoryStopsNobody: the controller begins with an empty memory, and
// the log and the history say so. That there was no hold, the second copy knows.
func TestGarbledMemoryStopsNobody(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		if err := w.opts.Holds.Save([]plan.Hold{}); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Keep(t.Context(), memoryName, []int{1, 2}); err != nil {
			t.Fatal(err)
		}
		var said syncText
		w.opts.Log = slog.New(slog.NewTextHandler(&said, nil))
		c, stop := w.run()
		w.pass(3 * time.Second)
		if st := c.Status(); len(st.Decisions) != 3 || st.Decisions[0].Code != codes.Primary {
			t.Errorf("decisions: %+v", st.Decisions)
		}
		events, err := c.History(t.Context(), event.Filter{Code: string(codes.HistorySetAside)})
		if err != nil || len(events) != 1 || !strings.Contains(events[0].Text, "previously parked nodes are forgotten") {
			t.Errorf("history: %+v, %v", events, err)
		}
		stop()
		if !strings.Contains(said.String(), "code="+string(codes.HistorySetAside)) {
			t.Errorf("log: %s", said.String())
		}
	})
}

// syncText collects a log of several goroutines.
type syncText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestOldEventsAreRemoved(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		old := event.Event{At: time.Now().Add(-91 * 24 * time.Hour), Kind: "old"}
		young := event.Event{At: time.Now().Add(-89*24*time.Hour - 12*time.Hour), Kind: "old"}
		for _, e := range []event.Event{old, young} {
			if err := w.store.Add(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		w.opts.Interval = time.Hour
		_, stop := w.run()
		defer stop()
		w.pass(time.Minute)
		if n := len(w.events("old")); n != 1 {
			t.Errorf("%d old events after the start", n)
		}
		w.pass(26 * time.Hour)
		if n := len(w.events("old")); n != 0 {
			t.Errorf("%d old events a day later", n)
		}
	})
}

// TestHistoryShowsWhatHasJustHappened although it is written beside the loop.
func TestHistoryShowsWhatHasJustHappened(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		w.pass(time.Second)
		for n := range 50 {
			if err := c.Hold(t.Context(), holdOf(1)); err != nil {
				t.Fatal(err)
			}
			ev, err := c.History(t.Context(), event.Filter{Kind: "hold"})
			if err != nil || len(ev) != n+1 {
				t.Fatalf("%d events after %d holds, %v", len(ev), n+1, err)
			}
		}
		stop()
		if ev, err := c.History(t.Context(), event.Filter{Kind: "hold"}); err != nil || len(ev) != 50 {
			t.Errorf("after the end: %d, %v", len(ev), err)
		}
	})
}

// fakeHooks has hooks that were killed.
type fakeHooks struct {
	pending, calls atomic.Int32
	fails          atomic.Pointer[error]
}

func hooksLeft(n int32, fails error) *fakeHooks {
	h := &fakeHooks{}
	h.pending.Store(n)
	if fails != nil {
		h.fails.Store(&fails)
	}
	return h
}

func (h *fakeHooks) Pending() bool { return h.pending.Load() > 0 }

func (h *fakeHooks) Resume(context.Context) ([]FinishedHook, error) {
	h.calls.Add(1)
	if err := h.fails.Load(); err != nil {
		return nil, *err
	}
	return slices.Repeat([]FinishedHook{{Node: 1, Code: "outdated", Text: "it is old"}}, int(h.pending.Swap(0))), nil
}

func TestUnfinishedHooksAreTakenUp(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		h := hooksLeft(2, errNoRoute)
		w.opts.Unfinished = h
		_, stop := w.run()
		defer stop()
		w.pass(time.Minute)
		if n := h.calls.Load(); n < 10 || n > 31 {
			t.Errorf("%d tries in a minute", n)
		}
		h.fails.Store(nil)
		w.pass(time.Minute)
		got := w.events("hook")
		if h.Pending() || len(got) != 2 || got[1].Code != "outdated" || got[1].Node != 1 {
			t.Errorf("pending %v, events %+v", h.Pending(), got)
		}
	})
}

// A controller that was down during a failover finds the old primary, which it
// remembers, running beside the hook's record of the new one. It does not
// write over that record.
func TestTheHooksLaterRecordStays(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, stop := w.run()
		w.pass(time.Minute)
		stop()
		later := topology.History{TLI: 3, Ancestors: append(line2.Ancestors[:1:1],
			topology.HistoryEntry{TLI: 2, Switch: 0x6000000})}
		w.mu.Lock()
		w.promoted = topology.Promotion{Node: 1, SystemID: 42, History: later}
		w.nodes[1].SQL.Err = "timeout" // the new primary hangs
		w.mu.Unlock()
		w.opts.NotePrimary = func(p topology.Promotion, _ time.Time) error {
			t.Errorf("noted node %s, %s", p.Node, p.History.Text())
			return nil
		}
		c, stop := w.run()
		defer stop()
		w.pass(time.Minute)
		if code := codeOf(c, 0); code != codes.PrimaryStale {
			t.Errorf("the old primary is judged %s", code)
		}
	})
}

func TestPrimaryIsNotedOnceAndUntilItIsTaken(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		calls, fails := 0, 3
		w.opts.NotePrimary = func(p topology.Promotion, _ time.Time) error {
			if calls++; calls <= fails {
				return errNoRoute
			}
			if p.Node != 0 || p.SystemID != 42 || !p.History.Equal(line2) {
				t.Errorf("noted node %s, %s, %s", p.Node, p.SystemID, p.History.Text())
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(time.Minute)
		if calls != fails+1 {
			t.Errorf("%d calls", calls)
		}
	})
}
