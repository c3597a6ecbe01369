package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

// TestClearanceIsWithheld: the world changes between the start of the run and
// its destructive step, and only the look at that moment sees it (P2).
func TestClearanceIsWithheld(t *testing.T) {
	for name, change := range map[string]func(*world){
		"the primary is gone": func(w *world) {
			w.nodes[0].SQL = topology.SQLFacts{Source: topology.Source{Err: "refused"}, Refused: true}
		},
		"the primary is silent":             func(w *world) { w.nodes[0].SQL.Err = "no answer yet" },
		"another was promoted":              func(w *world) { w.nodes[1].SQL.InRecovery, w.nodes[1].SQL.Timeline = false, 3 },
		"its timeline has changed":          func(w *world) { w.nodes[0].SQL.Timeline = 3 },
		"its system identifier has changed": func(w *world) { w.nodes[0].SQL.SystemID = 43 },
		"Pgpool-II disagrees":               func(w *world) { w.pools[0].view.Primary = 1 },
		"Pgpool-II knows none":              func(w *world) { w.pools[0].view.Primary = topology.NoNode },
		"Pgpool-II is silent":               func(w *world) { w.pools[0].view.Err = "no answer" },
		"the watchdog leads elsewhere": func(w *world) {
			w.pools[0].view.Watchdog = topology.Watchdog{Enabled: true, Quorum: 1, State: "STANDBY"}
		},
		"the node was attached": func(w *world) { w.pools[0].set(2, topology.PoolUp) },
		"the node accepts writes": func(w *world) {
			w.nodes[2].SQL = topology.SQLFacts{SystemID: 42, Timeline: 1, Current: 0x5000100}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.diverged(2)
				w.onFresh = func(w *world) {
					change(w)
					w.onFresh = nil
				}
				_, stop := w.run()
				defer stop()
				w.pass(700 * time.Millisecond)
				if got := strings.Join(w.agents[2].Calls(), ", "); !strings.HasPrefix(got, "StartRun rewind, Cancel") {
					t.Errorf("asked of the agent: %s", got)
				}
				if ev := w.events("run"); !strings.Contains(codesOf(ev), "no-clearance cancelled") {
					t.Errorf("events: %s", codesOf(ev))
				}
			})
		})
	}
}

// TestHoldStopsAtTheDestructiveStep: whoever says "do not touch" is heard.
func TestHoldStopsAtTheDestructiveStep(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].StepTime = 5 * time.Second
		c, stop := w.run()
		defer stop()
		w.pass(2 * time.Second)
		if err := c.Hold(t.Context(), holdOf(2)); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.wantCalls(2, "StartRun rewind, Cancel")
	})
}

// TestClearanceIsToldAgain: a call that got lost is made again, by a new look.
func TestClearanceIsToldAgain(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		lost := 2
		w.agents[2].Fail = func(call string) error {
			if call == "Clear" && lost > 0 {
				lost--
				return errNoRoute
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(10 * time.Second)
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		if w.fresh != 3 {
			t.Errorf("%d looks for 3 tries", w.fresh)
		}
	})
}

func TestClearanceThatIsRefusedIsNotRepeated(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.diverged(2)
		w.agents[2].Fail = func(call string) error {
			if call == "Clear" {
				return agentapi.ErrStaleToken
			}
			return nil
		}
		_, stop := w.run()
		defer stop()
		w.pass(20 * time.Second)
		if w.fresh != 1 {
			t.Errorf("%d looks", w.fresh)
		}
	})
}
