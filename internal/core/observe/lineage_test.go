package observe

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/test/fakes/virtual"
)

// detach marks a node detached in the pool.
func (w *trio) detach(node int) { w.pool.view.Nodes[node].Status = topology.PoolDown }

func TestAttachedStreamingNodeIsComparedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		n := w.probes(1)
		o := w.observer()
		snap := o.Observe(t.Context())
		if l := snap.Nodes[1].Lineage; l.Verdict != topology.LineageOnLine || l.Primary != 0 || !l.OK() {
			t.Errorf("first look: %+v", l)
		}
		for range 10 {
			o.Observe(t.Context())
		}
		if n.Load() != 1 {
			t.Errorf("its WAL was read %d times while it streamed on", n.Load())
		}
		w.sql[1].facts.Receiver.Status = ""
		o.Observe(t.Context())
		w.sql[1].facts.Receiver.Status = "streaming"
		o.Observe(t.Context())
		o.Observe(t.Context())
		if n.Load() != 3 {
			t.Errorf("read %d times, want once more while its stream was broken and once after", n.Load())
		}
		if snap := o.Observe(t.Context()); !snap.Nodes[0].Lineage.At.IsZero() {
			t.Error("the primary was compared with itself")
		}
	})
}

// TestStreamProvesNothingByItself (hazard 1): a standby of another content on
// the same timeline number can stream, and is told apart.
func TestStreamProvesNothingByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		other := lastCommon
		other.CRC++
		w.agent[2].Probe.Last = &other
		o := w.observer()
		for range 2 {
			snap := o.Observe(t.Context())
			if l := snap.Nodes[2].Lineage; l.Verdict != topology.LineageDiverged || !l.SameTimeline {
				t.Errorf("verdict on it: %+v", l)
			}
		}
	})
}

func TestWhomToCompare(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		world func(*trio)
		want  bool
	}{
		"detached though it streams": {func(w *trio) { w.detach(1) }, true},
		"server down": {
			func(w *trio) { w.sql[1].facts = topology.SQLFacts{Source: topology.Source{Err: "refused"}} }, true},
		"a second primary": {func(w *trio) { w.sql[1].facts.InRecovery, w.sql[1].facts.Timeline = false, 1 },
			true},
		"data directory missing": {func(w *trio) { w.agent[1].State.Dir = topology.DirMissing }, false},
		"data directory foreign": {func(w *trio) { w.agent[1].State.Dir = topology.DirForeign }, false},
		"agent silent": {
			func(w *trio) { w.agent[1].Fail = func(string) error { return errors.New("gone") } }, false},
		"run in progress": {
			func(w *trio) { w.agent[1].State.Run = &topology.RunState{Outcome: topology.RunRunning} }, false},
		"run that failed": {
			func(w *trio) { w.detach(1); w.agent[1].State.Run = &topology.RunState{Outcome: topology.RunFailed} }, true},
		"pool silent": {func(w *trio) { w.pool.view.Err = "no answer" }, true},
		"primary's agent silent": {
			func(w *trio) { w.detach(1); w.agent[0].Fail = func(string) error { return errors.New("gone") } }, false},
		"primary just promoted": {
			func(w *trio) { w.detach(1); w.agent[0].State.History = topology.History{TLI: 1} }, false},
		"two primaries on one timeline": {func(w *trio) { w.sql[2].facts.InRecovery = false }, false},
		"no primary":                    {func(w *trio) { w.sql[0].facts.InRecovery = true }, false},
		"old primary on a lower timeline": {func(w *trio) {
			w.detach(1)
			w.sql[2].facts.InRecovery,
				w.sql[2].facts.Timeline = false, 1
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newTrio()
				c.world(w)
				snap := w.observer().Observe(t.Context())
				if got := !snap.Nodes[1].Lineage.At.IsZero(); got != c.want {
					t.Errorf("compared: %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestComparisonThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.detach(1)
		w.detach(2)
		w.agent[1].Fail = func(call string) error {
			if call == "ProbeWAL" {
				return errors.New("segment garbled")
			}
			return nil
		}
		w.agent[0].Fail = func(call string) error {
			if call == "RecordEnding" {
				return agentapi.ErrNoWAL
			}
			return nil
		}
		snap := w.observer().Observe(t.Context())
		if l := snap.Nodes[1].Lineage; l.OK() || l.Err != "segment garbled" || l.Verdict != topology.LineageUnknown {
			t.Errorf("own WAL unreadable: %+v", l)
		}
		if l := snap.Nodes[2].Lineage; l.Verdict == topology.LineageOnLine ||
			!strings.Contains(l.Proof, agentapi.ErrNoWAL.Error()) {
			t.Errorf("the primary's record is gone: %+v", l)
		}
	})
}

func TestGapInThePrimarysWAL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.detach(1)
		w.agent[0].Probe.WALFrom = lastCommon.End + 1
		w.agent[0].Fail = func(call string) error {
			if call == "RecordEnding" {
				return agentapi.ErrNoWAL
			}
			return nil
		}
		if l := w.observer().Observe(t.Context()).Nodes[1].Lineage; !l.StreamGap {
			t.Errorf("the primary's WAL begins after the node's end: %+v", l)
		}
	})
}

// TestLongReadingOfWALDelaysOnePass: and its answer is taken by a later one.
func TestLongReadingOfWALDelaysOnePass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.detach(1)
		var n atomic.Int32
		w.agent[1].Fail = func(call string) error {
			if call == "ProbeWAL" {
				n.Add(1)
				virtual.Sleep(10 * time.Second)
			}
			return nil
		}
		o := w.observer()
		begun := time.Now()
		var l topology.Lineage
		for passes := 1; l.Verdict == topology.LineageUnknown; passes++ {
			d := took(func() { l = o.Observe(t.Context()).Nodes[1].Lineage })
			if passes > 1 && d > 250*time.Millisecond {
				t.Fatalf("pass %d took %s", passes, d)
			}
			if passes > 100 {
				t.Fatal("never compared")
			}
		}
		if d := time.Since(begun); n.Load() > 2 || d > 11*time.Second {
			t.Errorf("the WAL was read %d times in %s", n.Load(), d)
		}
		virtual.Sleep(10 * time.Second)
	})
}

// TestVerdictAgainstTheLastPrimaryIsNotTaken: a comparison that is still under
// way when the primary changes says nothing about the new one.
func TestVerdictAgainstTheLastPrimaryIsNotTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.detach(1)
		w.agent[1].Fail = func(call string) error {
			if call == "ProbeWAL" {
				virtual.Sleep(3 * time.Second)
			}
			return nil
		}
		o := w.observer()
		o.Observe(t.Context())
		line3 := topology.History{TLI: 3,
			Ancestors: append(line2.Ancestors, topology.HistoryEntry{TLI: 2, Switch: 0x6000000})}
		w.sql[0].facts = topology.SQLFacts{Source: topology.Source{Err: "refused"}, Refused: true}
		w.sql[2].facts.InRecovery, w.sql[2].facts.Timeline = false, 3
		w.agent[2].State.History = line3
		for range 50 {
			l := o.Observe(t.Context()).Nodes[1].Lineage
			if l.Primary != 2 {
				t.Fatalf("after the change: %+v", l)
			}
			if l.Verdict != topology.LineageUnknown {
				virtual.Sleep(3 * time.Second)
				return
			}
		}
		t.Errorf("never compared with the new primary: %+v", o.Observe(t.Context()).Nodes[1].Lineage)
		virtual.Sleep(10 * time.Second)
	})
}
