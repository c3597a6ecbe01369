package controller

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/history"
)

// TestHoldsOutliveWhatKeepsThem: node 1 is on hold when the controller stops, and
// then what it remembers is spoilt. The hold stands while one copy can be read;
// where none can, everything is left alone until a person has looked.
func TestHoldsOutliveWhatKeepsThem(t *testing.T) {
	garbage := func(t *testing.T, path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Repeat("neither SQLite nor JSON\n", 500)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	left := func(*testing.T, string) {}
	for name, c := range map[string]struct {
		db, second func(t *testing.T, path string)
		held       topology.NodeID
		says       string // code of what the log and the history tell; empty: nothing
	}{
		"nothing is spoilt":                      {left, left, 1, ""},
		"the history":                            {garbage, left, 1, "on-hold"},
		"the history is gone":                    {gone, left, 1, "on-hold"},
		"the second copy":                        {left, garbage, 1, string(codes.HoldsCopyDamaged)},
		"the second copy is gone":                {left, gone, 1, ""},
		"both":                                   {garbage, garbage, topology.NoNode, string(codes.HoldsUnknown)},
		"the history, and no second copy":        {garbage, gone, topology.NoNode, string(codes.HoldsUnknown)},
		"no history, and the second copy":        {gone, garbage, topology.NoNode, string(codes.HoldsUnknown)},
		"both are gone: the node's agent has it": {gone, gone, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				k, stop := w.run()
				w.pass(interval)
				if err := k.Hold(t.Context(), holdOf(1)); err != nil {
					t.Fatal(err)
				}
				stop()
				if err := w.store.Close(); err != nil {
					t.Fatal(err)
				}
				c.db(t, filepath.Join(w.dir, history.FileName))
				c.second(t, filepath.Join(w.dir, history.HoldsFile))
				w.reopen()
				var said syncText
				w.opts.Log = slog.New(slog.NewTextHandler(&said, nil))
				w.change(func() {
					w.pools[0].set(1, topology.PoolDown)
					w.pools[0].set(2, topology.PoolDown)
				})
				k, stop = w.run()
				w.pass(time.Minute)
				switch c.held {
				case 1:
					w.wantDone("attach 2 on pool0")
				case topology.NoNode:
					w.wantDone("")
				}
				if c.says != "" {
					if !strings.Contains(said.String(), "level=ERROR msg=holds code="+c.says) {
						t.Errorf("the log does not say %s: %s", c.says, said.String())
					}
					events, err := k.History(t.Context(), event.Filter{Code: c.says})
					if err != nil || len(events) == 0 {
						t.Errorf("the history does not say %s: %v", c.says, err)
					}
				}
				// A person's word ends it, in both copies.
				for _, id := range []topology.NodeID{c.held, 1} {
					if err := k.Release(t.Context(), id, "ann"); err != nil {
						t.Fatal(err)
					}
				}
				w.pass(time.Minute)
				stop()
				k, stop = w.run()
				defer stop()
				w.pass(interval)
				if holds := k.Status().Memory.Holds; len(holds) != 0 {
					t.Errorf("held after the release and a restart: %+v", holds)
				}
				if codeOf(k, 1) != codes.Healthy || codeOf(k, 2) != codes.Healthy {
					t.Errorf("nodes 1 and 2 are %s and %s", codeOf(k, 1), codeOf(k, 2))
				}
			})
		})
	}
}

// fullCopy is a disk that takes nothing.
type fullCopy struct{ Copy }

var errFull = errors.New("no space left on device")

func (fullCopy) Save(any) error { return errFull }

// TestHoldThatIsNotCopiedIsInForce, and the one who asked hears that it would
// not outlive the controller.
func TestHoldThatIsNotCopiedIsInForce(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.opts.Holds = fullCopy{w.opts.Holds}
		k, stop := w.run()
		defer stop()
		w.pass(interval)
		if err := k.Hold(t.Context(), holdOf(1)); !errors.Is(err, errFull) ||
			!strings.Contains(err.Error(), "would be forgotten when the controller restarts") {
			t.Errorf("the answer to the hold: %v", err)
		}
		w.change(func() { w.pools[0].set(1, topology.PoolDown) })
		w.pass(time.Minute)
		w.wantDone("")
	})
}

// readOnlyStore is a Store whose disk takes nothing any more.
type readOnlyStore struct{ Store }

func (readOnlyStore) Add(context.Context, event.Event) error      { return syscall.EROFS }
func (readOnlyStore) Keep(context.Context, string, any) error     { return syscall.EROFS }
func (readOnlyStore) Prune(context.Context, time.Time, int) error { return syscall.EROFS }

// TestDiskThatTakesNothingStopsNoHealing: nodes are healed all the same, and the
// log says once, not with each pass, what is not written.
func TestDiskThatTakesNothingStopsNoHealing(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, stop := w.run() // names the controller while it can
		w.pass(interval)
		stop()
		w.opts.Store = readOnlyStore{w.store}
		w.opts.Holds = fullCopy{w.opts.Holds}
		var said syncText
		w.opts.Log = slog.New(slog.NewTextHandler(&said, nil))
		k, stop := w.runOn(w.opts.Store)
		defer stop()
		w.change(func() { w.diverged(2) })
		w.pass(time.Minute)
		w.wantCalls(2, "StartRun rewind, Clear rewind")
		w.wantDone("attach 2 on pool0")
		if codeOf(k, 2) != codes.Healthy {
			t.Errorf("node 2 is %s", codeOf(k, 2))
		}
		for _, what := range []string{`"history not written"`, "planner memory not saved"} {
			if n := strings.Count(said.String(), what); n != 1 {
				t.Errorf("the log says %d times that %s", n, what)
			}
		}
	})
}
