package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// recovers asks for an online recovery and gives its end and what it said.
func recovers(ctx context.Context, c *Controller, n topology.NodeID) (end chan error, said *[]string) {
	end, said = make(chan error, 1), &[]string{}
	go func() { end <- c.Recover(ctx, n, func(s string) { *said = append(*said, s) }) }()
	return end, said
}

// TestOnlineRecovery: the ordinary engine, and then Pgpool-II's turn.
func TestOnlineRecovery(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = 3 * time.Second
		c, stop := w.run()
		defer stop()
		end, said := recovers(t.Context(), c, 2)
		w.pass(2 * time.Second)
		select {
		case err := <-end:
			t.Fatalf("ended before the run: %v", err)
		default:
		}
		var re *control.RefusedError
		if err := c.Recover(t.Context(), 2, nil); !errors.As(err, &re) || re.Code != "recovering" {
			t.Errorf("a second one beside it: %v", err)
		}
		if err := <-end; err != nil {
			t.Fatal(err)
		}
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		if len(*said) == 0 || !strings.Contains(strings.Join(*said, "\n"), string(codes.Resyncing)) {
			t.Errorf("said: %q", *said)
		}
		w.pass(handOver - time.Second)
		w.wantDone("")
		if m := c.Status().Memory.Nodes[2]; m.Attaches != 0 || !m.LastAttach.IsZero() {
			t.Errorf("attaches that are Pgpool-II's own are counted: %+v", m)
		}
		// Pgpool-II has not attached it: then it is a node like any other.
		w.pass(3 * time.Second)
		w.wantDone("attach 2 on pool0")
	})
}

// TestOnlineRecoveryForWhichPgpoolWaits: Pgpool-II answers nobody until the recovery
// has ended. Its last answer counts, and it is asked for nothing meanwhile.
func TestOnlineRecoveryForWhichPgpoolWaits(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = 3 * time.Second
		c, stop := w.run()
		defer stop()
		w.pass(2 * time.Second)
		end, said := recovers(t.Context(), c, 2)
		w.pass(500 * time.Millisecond)
		w.change(func() { w.pools[0].view.Err, w.pools[0].view.Silent = "no answer yet", true })
		w.pass(2 * time.Second)
		if p := c.Status().Snapshot.Pools[0]; !p.OK() || !strings.Contains(p.Waiting, "node 2") || !c.Status().Acting {
			t.Errorf("meanwhile: %+v, acting %v", p, c.Status().Acting)
		}
		if err := c.Detach(t.Context(), control.NodeRequest{Node: 1}); err == nil {
			t.Error("a detach was accepted that Pgpool-II cannot carry out")
		}
		if err := <-end; err != nil {
			t.Fatalf("%v; said: %q", err, *said)
		}
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		w.pass(2 * time.Second)
		w.wantDone("")
		if c.Status().Acting {
			t.Error("acting by a view from before the recovery, which has ended")
		}
		events, err := w.store.List(t.Context(), event.Filter{Kind: "recovery"})
		if err != nil || len(events) != 1 || events[0].Code != "recovered" {
			t.Errorf("events: %+v (%v)", events, err)
		}
	})
}

// TestOnlineRecoveryWhilePgpoolIsDown: what refuses the connection does not wait.
func TestOnlineRecoveryWhilePgpoolIsDown(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = 3 * time.Second
		c, stop := w.run()
		defer stop()
		w.pass(2 * time.Second)
		end, _ := recovers(t.Context(), c, 2)
		w.pass(500 * time.Millisecond)
		w.change(func() { w.pools[0].view.Err = "connection refused" })
		var re *control.RefusedError
		if err := <-end; !errors.As(err, &re) || re.Code != codes.NotActing {
			t.Errorf("got %v", err)
		}
		w.pass(time.Second)
		events, err := w.store.List(t.Context(), event.Filter{Kind: "recovery"})
		if err != nil || len(events) != 1 || !strings.Contains(events[0].Text, "connection refused") {
			t.Errorf("events: %+v (%v)", events, err)
		}
	})
}

func TestOnlineRecoveryOfAHealthyNodeThatIsDetached(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		if w.pools[0].set(2, topology.PoolDown); true {
			w.pools[0].refuses = errNoRoute // we try before the recovery begins
		}
		c, stop := w.run()
		defer stop()
		w.pass(2 * time.Second)
		begun := time.Now()
		end, _ := recovers(t.Context(), c, 2)
		for {
			w.pass(100 * time.Millisecond)
			select {
			case err := <-end:
				if err != nil || time.Since(begun) > 10*time.Second {
					t.Errorf("ended after %s: %v", time.Since(begun), err)
				}
				return
			default:
			}
		}
	})
}

func TestOnlineRecoveryThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		world func(*world)
		code  codes.Code
	}{
		"for good": {func(w *world) { w.agents[2].State.Dir = topology.DirForeign }, codes.ForeignDirectory},
		"not acting": {func(w *world) {
			w.pools[0].view.Watchdog = topology.Watchdog{Enabled: true, Quorum: 1, State: "STANDBY"}
		}, codes.NotActing},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.dies(2)
				c.world(w)
				ctl, stop := w.run()
				defer stop()
				for range 2 { // the first must not be in the way of the second
					begun := time.Now()
					end, _ := recovers(t.Context(), ctl, 2)
					err := <-end
					var re *control.RefusedError
					if !errors.As(err, &re) || re.Code != c.code || re.Hint == "" || time.Since(begun) > 2*refusalLasts {
						t.Errorf("after %s: %#v", time.Since(begun), err)
					}
				}
			})
		})
	}
}

// TestRefusalOfAMomentIsNoAnswer: stale facts at the wrong moment.
func TestRefusalOfAMomentIsNoAnswer(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.dies(2)
		w.pools[0].view.Err = "no answer"
		c, stop := w.run()
		defer stop()
		end, _ := recovers(t.Context(), c, 2)
		w.pass(2 * time.Second)
		w.change(func() { w.pools[0].view.Err = "" })
		if err := <-end; err != nil {
			t.Error(err)
		}
	})
}

func TestOnlineRecoveryWhoseCallerHasGone(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = 3 * time.Second
		c, stop := w.run()
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		end, _ := recovers(ctx, c, 2)
		w.pass(2 * time.Second)
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("recover: %v", err)
		}
		w.pass(30 * time.Second) // healed all the same, and attached by us
		w.wantDone("attach 2 on pool0")
	})
}

func TestStopEndsAnOnlineRecovery(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.dies(2)
		w.agents[2].StepTime = 10 * time.Second
		c, stop := w.run()
		end, _ := recovers(t.Context(), c, 2)
		w.pass(2 * time.Second)
		stop()
		if err := <-end; err == nil {
			t.Error("it ended well, without a controller")
		}
		w.pass(time.Minute)
	})
}
