package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/history"
	"github.com/repool/repool/test/fakes/agentapitest"
)

// other is a second controller on the same pool, with a state directory and a Pgpool-II of
// its own, which leads the watchdog or stands by.
func (w *world) other() (c *Controller, stop func()) {
	w.t.Helper()
	dir := w.t.TempDir()
	store, err := history.Open(w.t.Context(), dir)
	if err != nil {
		w.t.Fatal(err)
	}
	opts := w.opts
	opts.Store, opts.Holds, opts.Observer = store, history.CopyAt(dir, history.HoldsFile), seenFrom{w, 1}
	opts.Pools = []Pool{w.pools[1], w.pools[0]}
	c, end := w.runWith(opts)
	return c, func() {
		end()
		if err := store.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// seenFrom is the world as the controller beside that Pgpool-II sees it.
type seenFrom struct {
	*world
	pool int
}

func (s seenFrom) turned(snap topology.Snapshot) topology.Snapshot {
	snap.Pools[0], snap.Pools[s.pool] = snap.Pools[s.pool], snap.Pools[0]
	return snap
}

func (s seenFrom) Observe(ctx context.Context) topology.Snapshot {
	return s.turned(s.world.Observe(ctx))
}
func (s seenFrom) ObserveFresh(ctx context.Context) topology.Snapshot {
	return s.turned(s.world.ObserveFresh(ctx))
}

// leads makes one Pgpool-II the watchdog's leader and the other one a standby.
func (w *world) leads(pool int) {
	w.change(func() {
		for i, p := range w.pools {
			p.view.Watchdog = topology.Watchdog{Enabled: true, Leader: i == pool, Quorum: 1}
		}
	})
}

// A hold is given to the controller that leads; then the other one leads, and leaves the
// node alone, too. The release is given to the one that does not lead any more.
func TestAHoldOutlivesAChangeOfLeader(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.leads(0)
		first, stop := w.run()
		defer stop()
		second, stopSecond := w.other()
		defer stopSecond()
		w.pass(3 * interval)
		if err := first.Hold(t.Context(), holdOf(2)); err != nil {
			t.Fatal(err)
		}
		w.leads(1)
		w.dies(2)
		w.pass(time.Minute)
		if code := codeOf(second, 2); code != codes.OnHold || w.done() != "" || len(w.agents[2].Calls()) > 0 {
			t.Errorf("after the change of leader node 2 is %s; done: %s %v", code, w.done(), w.agents[2].Calls())
		}
		if err := first.Release(t.Context(), 2, "ann"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if code := codeOf(second, 2); code != codes.Healthy {
			t.Errorf("after the release node 2 is %s", code)
		}
	})
}

// What is said to a controller that only watches holds all the same: a hold, a hold of the
// whole pool, a release, a consent.
func TestAControllerThatOnlyWatchesTakesInstructions(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.leads(0)
		w.opts.Policy.Methods = map[topology.Method]plan.Mode{topology.MethodStart: plan.Ask}
		leader, stop := w.run()
		defer stop()
		watcher, stopWatcher := w.other()
		defer stopWatcher()
		w.pass(3 * interval)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			w.pass(5 * interval)
		}
		must(watcher.Hold(t.Context(), holdOf(topology.NoNode)))
		if codeOf(leader, 1) != codes.OnHold || codeOf(leader, 2) != codes.OnHold {
			t.Errorf("the pool is held, and its nodes are %s and %s", codeOf(leader, 1), codeOf(leader, 2))
		}
		w.dies(2)
		must(watcher.Release(t.Context(), topology.NoNode, "ann"))
		if code := codeOf(leader, 2); code != codes.NeedsConsent {
			t.Errorf("after the release node 2 is %s", code)
		}
		must(watcher.Resync(t.Context(), control.ResyncRequest{Node: 2, Who: "ann"}))
		w.pass(time.Minute)
		if code := codeOf(leader, 2); code != codes.Healthy {
			t.Errorf("after the consent node 2 is %s", code)
		}
		if !w.agents[2].Told.Used {
			t.Error("the consent is not used up")
		}
	})
}

// A node's agent does not answer, or is one release older. Nothing is claimed then; the
// controller that acts takes the hold, and passes it on.
func TestAHoldThatNoAgentKeeps(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.leads(0)
		leader, stop := w.run()
		defer stop()
		watcher, stopWatcher := w.other()
		defer stopWatcher()
		w.pass(3 * interval)
		silent := func(f *agentapitest.Fake) { f.Fail = func(string) error { return errNoRoute } }
		w.agents[2].Change(silent)
		w.pass(3 * interval)
		var refused *control.RefusedError
		if err := watcher.Hold(t.Context(), holdOf(2)); !errors.As(err, &refused) || refused.Code != codes.NotKept {
			t.Errorf("to the one that watches: %v", err)
		}
		var only *NotKeptError
		if err := leader.Hold(t.Context(), holdOf(2)); !errors.As(err, &only) ||
			!strings.Contains(err.Error(), "on this controller's host only") {
			t.Errorf("to the one that acts: %v", err)
		}
		w.pass(3 * interval)
		if code := codeOf(leader, 2); code != codes.OnHold {
			t.Errorf("node 2 is %s", code)
		}
		w.agents[2].Change(func(f *agentapitest.Fake) { f.Fail, f.Old = nil, true })
		w.pass(3 * interval)
		if err := leader.Hold(t.Context(), holdOf(2)); !errors.Is(err, agentapi.ErrUnknownCall) {
			t.Errorf("with an older agent: %v", err)
		}
		w.agents[2].Change(func(f *agentapitest.Fake) { f.Old = false })
		w.pass(5 * interval)
		if in := w.agents[2].Told; in.Node.Word != topology.WordHold || in.Node.Who != "ann" {
			t.Errorf("the agent keeps %+v", in)
		}
		if code := codeOf(watcher, 2); code != codes.OnHold && code != codes.NotLeader {
			t.Errorf("the other one has %s", code)
		}
		if len(watcher.Status().Memory.Holds) != 1 {
			t.Errorf("the other one knows of %+v", watcher.Status().Memory.Holds)
		}
		// What the node keeps is ended there or not at all.
		w.agents[2].Change(silent)
		if err := leader.Release(t.Context(), 2, "ann"); !errors.As(err, &refused) || refused.Code != codes.NotKept {
			t.Errorf("release without the agent: %v", err)
		}
	})
}

// What an older repool kept on the controller's host moves to the nodes.
func TestHoldsOfAnOlderRepoolMoveToTheNodes(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		mem := plan.Memory{Primary: topology.NoNode, Holds: []plan.Hold{
			{Node: 1, Who: "ann", Why: "new disk", Since: time.Now()}, {Node: topology.NoNode, Who: "bob", Since: time.Now()}}}
		if err := w.store.Keep(t.Context(), memoryName, mem); err != nil {
			t.Fatal(err)
		}
		c, stop := w.run()
		defer stop()
		w.pass(5 * interval)
		if in := w.agents[1].Told; in.Node.Who != "ann" || in.Pool.Who != "bob" {
			t.Errorf("node 1 keeps %+v", in)
		}
		if in := w.agents[2].Told; in.Node.Number != 0 || in.Pool.Word != topology.WordHold {
			t.Errorf("node 2 keeps %+v", in)
		}
		if err := c.Release(t.Context(), topology.NoNode, "ann"); err != nil {
			t.Fatal(err)
		}
		w.pass(interval)
		if codeOf(c, 1) != codes.OnHold || codeOf(c, 2) != codes.Healthy {
			t.Errorf("after the release of the pool: %s and %s", codeOf(c, 1), codeOf(c, 2))
		}
	})
}

// An agent that was away when the pool was released still has the hold, and is told.
func TestAnAgentThatWasAwayHearsOfTheRelease(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		w.pass(interval)
		if err := c.Hold(t.Context(), holdOf(topology.NoNode)); err != nil {
			t.Fatal(err)
		}
		w.agents[2].Change(func(f *agentapitest.Fake) { f.Fail = func(string) error { return errNoRoute } })
		w.pass(interval)
		if err := c.Release(t.Context(), topology.NoNode, "ann"); err != nil {
			t.Fatal(err)
		}
		w.agents[2].Change(func(f *agentapitest.Fake) { f.Fail = nil })
		w.pass(5 * interval)
		if in := w.agents[2].Told; in.Pool.Word != topology.WordRelease {
			t.Errorf("node 2 keeps %+v", in)
		}
		if len(c.Status().Memory.Holds) != 0 || codeOf(c, 2) != codes.Healthy {
			t.Errorf("node 2 is %s, held: %+v", codeOf(c, 2), c.Status().Memory.Holds)
		}
	})
}
