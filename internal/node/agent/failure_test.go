package agent

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/test/fakes/fakehost"
)

// opsOf counts the operations of an undisturbed run of s.
func opsOf(t *testing.T, s situation) (n int) {
	synctest.Test(t, func(t *testing.T) {
		r := prepared(t, s)
		before := r.w.Ops
		r.run(s.method)
		n = r.w.Ops - before
	})
	return n
}

// prepared is a rig in situation s.
func prepared(t *testing.T, s situation) *rig {
	t.Helper()
	r := newRig(t, s.make())
	if s.before != nil {
		s.before(r)
	}
	clear(r.reached)
	return r
}

// TestEveryOperationFails is P4, P5 and hazards 6, 46 and 47: the n-th thing
// that the engine does to the node or asks of the primary fails, for every n,
// before its effect or after it. The run says so with a code, nothing half
// done is at home, and the next runs heal the node.
func TestEveryOperationFails(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		t.Run(s.name+", "+string(s.method), func(t *testing.T) {
			ops := opsOf(t, s)
			for n := 1; n <= ops; n++ {
				for _, late := range []bool{false, true} {
					synctest.Test(t, func(t *testing.T) { failsAt(t, s, n, late) })
					if t.Failed() {
						t.Fatalf("operation %d of %d failed, late: %v", n, ops, late)
					}
				}
			}
		})
	}
}

func failsAt(t *testing.T, s situation, n int, late bool) {
	r := prepared(t, s)
	r.w.FailAt, r.w.FailLate = r.w.Ops+n, late
	st := r.run(s.method)
	switch st.Outcome {
	case topology.RunDone:
		// A failure that the method can do without, such as a ruined
		// directory's configuration or the primary's size.
	case topology.RunFailed:
		if st.Code == "" || st.Code == "test" || st.Error == "" || st.Hint == "" {
			t.Errorf("failed without code, error and hint: %+v", st)
		}
	default:
		t.Errorf("the run ended %s", st.Outcome)
	}
	v := r.w.View()
	if st.Damaged && (v.Home != nil || v.InRepair == nil) {
		t.Errorf("damaged, with home %+v and in repair %+v", v.Home, v.InRepair)
	}
	if v.InRepair != nil && v.Home == nil && v.InRepair.Content != fakehost.Whole && !st.Damaged {
		t.Errorf("a %s directory is in repair, and the run does not say so: %+v", v.InRepair.Content, st)
	}
	r.w.FailAt = 0
	r.heal()
}

// TestFailureAndFailedUndo: the operation after the failing one fails too,
// which often is the undo.
func TestFailureAndFailedUndo(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		t.Run(s.name+", "+string(s.method), func(t *testing.T) {
			ops := opsOf(t, s)
			for n := 1; n <= ops; n++ {
				synctest.Test(t, func(t *testing.T) {
					r := prepared(t, s)
					r.w.FailAt = r.w.Ops + n
					check := r.w.OnOp
					first := r.w.FailAt
					r.w.OnOp = func(op string) {
						check(op)
						if r.w.Ops == first {
							r.w.FailAt = first + 1
						}
					}
					r.run(s.method)
					r.w.OnOp, r.w.FailAt = check, 0
					r.heal()
				})
				if t.Failed() {
					t.Fatalf("operations %d and %d of %d failed", n, n+1, ops)
				}
			}
		})
	}
}

// TestCancelAtEveryPoint: a cancel takes effect at the next safe point, and
// leaves the node whole.
func TestCancelAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		t.Run(s.name+", "+string(s.method), func(t *testing.T) {
			for _, point := range pointsOf(t, s) {
				synctest.Test(t, func(t *testing.T) {
					r := prepared(t, s)
					r.stopping = true
					r.at(point, func() {
						g, err := r.a.tokens.Read()
						if err == nil {
							err = r.a.Cancel(t.Context(), g.Token, r.a.runs.current().id)
						}
						if err != nil {
							t.Errorf("cancel: %v", err)
						}
					})
					st := r.run(s.method)
					if st.Outcome != topology.RunDone && (st.Outcome != topology.RunCancelled || st.Code != codes.Cancelled) {
						t.Errorf("cancelled at %s: %+v", point, st)
					}
					r.stopping = false
					r.heal()
				})
			}
		})
	}
}

// at calls f at the point, once.
func (r *rig) at(point string, f func()) {
	r.atPoint, r.atDo = point, f
}

// TestShutdownAtEveryPoint: an agent that is asked to end leaves nothing half
// done that it could finish, and the next one continues from there.
func TestShutdownAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		t.Run(s.name+", "+string(s.method), func(t *testing.T) {
			for _, point := range pointsOf(t, s) {
				synctest.Test(t, func(t *testing.T) {
					r := prepared(t, s)
					closed := make(chan error, 1)
					v := r.w.View()
					damaged := half(v)
					r.stopping = true
					r.at(point, func() {
						a := r.a
						go func() { closed <- a.Close() }()
					})
					st := r.run(s.method)
					if !r.reached[point] {
						return
					}
					if err := <-closed; err != nil {
						t.Errorf("close: %v", err)
					}
					v = r.w.View()
					if st.Damaged != half(v) || half(v) && !damaged {
						t.Errorf("shut down at %s: damaged is %v: %+v", point, st.Damaged, st)
					}
					if st.Outcome != topology.RunDone && st.Outcome != topology.RunInterrupted {
						t.Errorf("shut down at %s: %+v", point, st)
					}
					r.stopping = false
					r.open()
					r.heal()
				})
			}
		})
	}
}

// half says that all the node has is half rewound.
func half(v fakehost.View) bool {
	return v.Home == nil && v.InRepair != nil && v.InRepair.Content == fakehost.HalfRewound
}

// TestPrimaryGone: nothing is changed for a primary that does not answer or is
// no longer the one asked for (P2, hazard 26).
func TestPrimaryGone(t *testing.T) {
	t.Parallel()
	for code, set := range map[codes.Code]func(*fakehost.Solo){
		codes.UpstreamLost:    func(w *fakehost.Solo) { w.SetPrimary(false) },
		codes.UpstreamChanged: func(w *fakehost.Solo) { w.SetChanged(true) },
	} {
		for _, m := range []topology.Method{topology.MethodRewind, topology.MethodBaseBackup, topology.MethodAdopt} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(m != topology.MethodAdopt)))
				set(r.w)
				st := r.run(m)
				v := r.w.View()
				if st.Code != code || v.Home == nil || v.Home.Name != "original" || slices.Contains(r.w.Trace, "StopServer") {
					t.Errorf("%s: %+v, home %+v", m, st, v.Home)
				}
				r.unbroken()
			})
		}
	}
}

// TestPrimaryChangesWhileWaiting: the primary is confirmed again right before
// data is overwritten (P2), and not only before clearance.
func TestPrimaryChangesWhileWaiting(t *testing.T) {
	t.Parallel()
	for m, step := range map[topology.Method]string{
		topology.MethodRewind:     "rewind:rewind:intent",
		topology.MethodBaseBackup: "base-backup:copy:intent",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
			r.at(step, func() { r.w.SetChanged(true) })
			st := r.run(m)
			v := r.w.View()
			if st.Code != codes.UpstreamChanged || st.Damaged ||
				v.Home == nil || v.Home.Name != "original" || v.InRepair != nil {
				t.Errorf("%s: %+v, home %+v", m, st, v.Home)
			}
			r.w.SetChanged(false)
			r.heal()
		})
	}
}

// TestRefusals are the situations in which a method must change nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method topology.Method
		dir    *fakehost.Dir
		set    func(*fakehost.Solo)
		code   codes.Code
	}{
		{"no space for a copy (hazard 50)", topology.MethodBaseBackup, fakehost.CrashedPrimary(true),
			func(w *fakehost.Solo) { w.Node.Free = 1 << 20 }, codes.NoSpace},
		{"a diverged primary is not adopted (hazard 3)", topology.MethodAdopt, fakehost.CrashedPrimary(true),
			nil, codes.NotOnLine},
		{"a running primary is not adopted (hazard 54)", topology.MethodAdopt, fakehost.CrashedPrimary(false),
			func(w *fakehost.Solo) { w.OutsideStart() }, codes.ServerRunning},
		{"a stopped standby cannot follow", topology.MethodFollow, fakehost.StoppedStandby(), nil, codes.ServerStopped},
		{"a starting primary cannot follow", topology.MethodFollow, fakehost.CrashedPrimary(false),
			func(w *fakehost.Solo) { w.OutsideStart(); w.SetStarting() }, codes.ServerStopped},
		{"a running primary cannot follow", topology.MethodFollow, fakehost.CrashedPrimary(false),
			func(w *fakehost.Solo) { w.OutsideStart() }, codes.ServerRunning},
		{"nothing to start", topology.MethodStart, nil, nil, codes.NoData},
		{"a blind pg_rewind is not believed (hazards 1 and 2)", topology.MethodRewind, fakehost.CrashedPrimary(true),
			func(w *fakehost.Solo) { w.Node.Home().OnPrimarysTimeline() }, codes.RewindRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, fakehost.NewSolo(tt.dir))
				if tt.set != nil {
					tt.set(r.w)
				}
				before := r.w.View()
				st := r.run(tt.method)
				if st.Outcome != topology.RunFailed || st.Code != tt.code || st.Hint == "" {
					t.Errorf("got %s %s: %s (hint %q), want %s", st.Outcome, st.Code, st.Error, st.Hint, tt.code)
				}
				after := r.w.View()
				lost := after.Home == nil || after.Home.Content != fakehost.Whole || after.Home.Copied
				if before.Home != nil && lost || after.InRepair != nil {
					t.Errorf("home was %+v, is %+v; in repair %+v", before.Home, after.Home, after.InRepair)
				}
				r.unbroken()
			})
		})
	}
}

// TestUnknownDirectoryInRepair: a directory in repair that no readable journal
// vouches for is never brought home; only a base backup follows (P4).
func TestUnknownDirectoryInRepair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(nil))
		d := fakehost.CrashedPrimary(true)
		r.w.Put(resync.InRepair, d)
		st := r.run(topology.MethodRewind)
		if st.Code != codes.Damaged || !st.Damaged {
			t.Errorf("%+v", st)
		}
		r.oldKept = true // nobody knows what it holds
		r.heal()
	})
}

// TestOccupiedHome: an earlier run's directory is in repair, whole, and something
// else was put at home: nobody guesses which is right.
func TestOccupiedHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
		diesAt("rewind:settle:before", topology.MethodRewind)(r)
		r.w.Put(resync.Home, fakehost.CrashedPrimary(true))
		for _, m := range []topology.Method{topology.MethodRewind, topology.MethodBaseBackup} {
			if st := r.run(m); st.Code != codes.HomeOccupied {
				t.Errorf("%s: %+v", m, st)
			}
		}
		rec, _, err := r.a.journal.Newest()
		if err != nil || rec.Repair != journal.RepairWhole {
			t.Errorf("the record forgets what is in repair: %+v, %v", rec, err)
		}
		r.unbroken()
	})
}
