package controller

import (
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

func ann(n topology.NodeID) control.NodeRequest { return control.NodeRequest{Node: n, Who: "ann"} }

// refusedAs is the code of a refusal; anything else fails the test.
func refusedAs(t *testing.T, err error) codes.Code {
	t.Helper()
	var re *control.RefusedError
	if !errors.As(err, &re) {
		t.Errorf("want a refusal, got %v", err)
		return ""
	}
	return re.Code
}

// TestDetachedByHandStaysSo: it is held, so it is not attached again, until a
// person wants it attached.
func TestDetachedByHandStaysSo(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		w.pass(interval)
		if err := c.Detach(t.Context(), ann(1)); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.wantDone("detach 1 on pool0, detach 1 on pool1")
		if codeOf(c, 1) != codes.OnHold {
			t.Errorf("node 1 is %s", codeOf(c, 1))
		}
		if code := refusedAs(t, c.Detach(t.Context(), ann(1))); code != codes.Detached {
			t.Errorf("again: %s", code)
		}
		w.change(func() { w.trace = nil })
		if err := c.Attach(t.Context(), ann(1)); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.wantDone("attach 1 on pool0, attach 1 on pool1")
		if code := refusedAs(t, c.Attach(t.Context(), ann(1))); code != codes.Attached {
			t.Errorf("attached again: %s", code)
		}
	})
}

// TestAttachedByHandAtOnceAfterADetach: no pass has seen the detach yet.
func TestAttachedByHandAtOnceAfterADetach(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		w.pass(interval)
		if err := c.Detach(t.Context(), ann(1)); err != nil {
			t.Fatal(err)
		}
		if err := c.Attach(t.Context(), ann(1)); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.wantDone("detach 1 on pool0, detach 1 on pool1, attach 1 on pool0, attach 1 on pool1")
	})
}

// TestDetachThatCouldBeAFailoverIsRefused: the primary by anybody's opinion,
// and what is not known. Nothing is asked, and nothing held.
func TestDetachThatCouldBeAFailoverIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		node   topology.NodeID
		change func(*world)
		code   codes.Code
	}{
		"the primary":  {0, func(*world) {}, codes.IsPrimary},
		"no such node": {7, func(*world) {}, "no-such-node"},
		"the other Pgpool-II considers it the primary": {1, func(w *world) { w.pools[1].view.Primary = 1 }, codes.IsPrimary},
		"the other Pgpool-II knows no primary": {1, func(w *world) { w.pools[1].view.Primary = topology.NoNode },
			codes.IsPrimary},
		"the other Pgpool-II does not answer": {1, func(w *world) { w.pools[1].view.Err = "refused" }, codes.IsPrimary},
		"it accepts writes by now":            {1, func(w *world) { w.nodes[1].SQL.InRecovery = false }, codes.IsPrimary},
		"its server does not answer":          {1, func(w *world) { w.nodes[1].SQL.Err = "refused" }, codes.IsPrimary},
		"the primary is down": {1, func(w *world) { w.nodes[0].SQL.Err = "refused" },
			codes.NoPrimary},
		"this Pgpool-II is not the watchdog leader": {1,
			func(w *world) { w.pools[0].view.Watchdog = topology.Watchdog{Enabled: true, State: "STANDBY"} }, codes.NotActing},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				k, stop := w.run()
				defer stop()
				w.pass(interval)
				// The look of the request itself is what counts.
				w.change(func() { w.onFresh = func(w *world) { c.change(w) } })
				if code := refusedAs(t, k.Detach(t.Context(), ann(c.node))); code != c.code {
					t.Errorf("refused as %s, want %s", code, c.code)
				}
				w.wantDone("")
				if holds := k.Status().Memory.Holds; len(holds) != 0 {
					t.Errorf("held: %+v", holds)
				}
			})
		})
	}
}

// TestAttachByHandGoesThroughTheGate: a person's wish proves nothing.
func TestAttachByHandGoesThroughTheGate(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.opts.Policy.Methods = map[topology.Method]plan.Mode{topology.MethodAttach: plan.Ask,
			topology.MethodRewind: plan.Never, topology.MethodBaseBackup: plan.Never}
		c, stop := w.run()
		defer stop()
		w.change(func() { w.diverged(2) })
		w.pass(time.Minute)
		before := codeOf(c, 2)
		if code := refusedAs(t, c.Attach(t.Context(), ann(2))); code != before || before != codes.NotAllowed {
			t.Errorf("a diverged node: refused as %s, decided %s", code, before)
		}
		w.pass(time.Minute)
		w.wantDone("")
		if m := c.Status().Memory.Nodes; m[2].Asked != "" {
			t.Errorf("consent was given all the same: %q", m[2].Asked)
		}
	})
	t.Run("policy asks", func(t *testing.T) {
		inWorld(t, 1, func(t *testing.T, w *world) {
			w.opts.Policy.Methods = map[topology.Method]plan.Mode{topology.MethodAttach: plan.Ask}
			c, stop := w.run()
			defer stop()
			w.pass(interval)
			w.change(func() { w.pools[0].set(1, topology.PoolDown) })
			w.pass(time.Minute)
			w.wantDone("")
			if err := c.Attach(t.Context(), ann(1)); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Minute)
			w.wantDone("attach 1 on pool0")
		})
	})
}
