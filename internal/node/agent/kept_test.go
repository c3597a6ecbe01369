package agent

import (
	"testing"
	"testing/synctest"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/test/fakes/fakehost"
)

// TestUnsavedDirectoryIsKept is P3: a directory of which not all is in the vault
// stays when a base backup replaces it. A second one of the kind is refused, since
// the first would have to go for it; the node is left as it is, until a person has
// looked at the first.
func TestUnsavedDirectoryIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set   func(d *fakehost.Dir)
		keep  bool
		vault bool
	}{
		"the vault is incomplete":         {set: (*fakehost.Dir).LoseWAL, vault: true},
		"the planner doubts its WAL":      {set: func(*fakehost.Dir) {}, keep: true},
		"its WAL is seen to be another's": {set: (*fakehost.Dir).Overwrite},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := fakehost.CrashedPrimary(true)
				r := newRig(t, fakehost.NewSolo(d))
				r.oldKept = true
				tt.set(d)
				st := r.backup(tt.keep)
				if st.Outcome != topology.RunDone || (st.Vault != nil) != tt.vault {
					t.Errorf("%s %s: %s; vault %+v", st.Outcome, st.Code, st.Error, st.Vault)
				}
				r.healed()
				if v := r.w.View(); v.Old == nil || v.Old.Name != "original" {
					t.Errorf("old is %+v", v.Old)
				}

				newer := fakehost.CrashedPrimary(true)
				newer.Name = "newer"
				tt.set(newer)
				if _, err := r.a.Fence(t.Context(), r.token()); err != nil {
					t.Fatal(err)
				}
				r.w.Put(resync.Home, newer)
				st = r.backup(tt.keep)
				if st.Outcome != topology.RunFailed || st.Code != codes.VaultFailed || st.Hint == "" {
					t.Errorf("a second one: %s %s (hint %q): %s", st.Outcome, st.Code, st.Hint, st.Error)
				}
				v := r.w.View()
				if v.Old == nil || v.Old.Name != "original" ||
					v.Home == nil || v.Home.Name != "newer" || v.Home.Content != fakehost.Whole {
					t.Errorf("old is %+v, home %+v", v.Old, v.Home)
				}
				r.unbroken()
			})
		})
	}
}

// TestNoRewindOverForeignWAL: pg_rewind reads the node's WAL to find the blocks
// that it has to copy; with another line's it would miss some.
func TestNoRewindOverForeignWAL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := fakehost.CrashedPrimary(true)
		d.Overwrite()
		r := newRig(t, fakehost.NewSolo(d))
		if st := r.run(topology.MethodRewind); st.Outcome != topology.RunFailed || st.Code != codes.RewindRefused {
			t.Errorf("%s %s: %s", st.Outcome, st.Code, st.Error)
		}
		if v := r.w.View(); v.Home == nil || v.Home.Name != "original" || v.Home.Content != fakehost.Whole {
			t.Errorf("home is %+v", v.Home)
		}
		r.unbroken()
	})
}

// TestUncomparedDirectoryIsKept is P3 where the node's WAL could not be compared with the
// primary's: by its timelines and its control file it is a standby that is behind, and it
// may have been a primary under the same number all the same.
func TestUncomparedDirectoryIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dir    *fakehost.Dir
		proven topology.LSN
		kept   bool
		vault  bool
	}{
		"a standby, nothing compared":    {dir: fakehost.StoppedStandby(), kept: true},
		"a standby, compared to its end": {dir: fakehost.StoppedStandby(), proven: fakehost.Diverged},
		"a standby with WAL past what was compared": {
			dir: fakehost.StoppedStandby(), proven: 0x4000000, kept: true,
		},
		"a crashed primary, compared to its end": {
			dir: fakehost.CrashedPrimary(false), proven: fakehost.Diverged,
		},
		"lost commits past the switch point, compared": {
			dir: fakehost.CrashedPrimary(true), proven: fakehost.Diverged, vault: true,
		},
		"lost commits past the switch point, uncompared": {dir: fakehost.CrashedPrimary(true), kept: true, vault: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, fakehost.NewSolo(tt.dir))
				r.oldKept = tt.kept
				token := r.token()
				req := r.request(topology.MethodBaseBackup, token)
				req.ProvenTo = tt.proven
				if err := r.a.StartRun(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				st := r.follow(token, req.ID)
				if st.Outcome != topology.RunDone || (st.Vault != nil) != tt.vault {
					t.Errorf("%s %s: %s; vault %+v", st.Outcome, st.Code, st.Error, st.Vault)
				}
				if v := r.w.View(); (v.Old != nil) != tt.kept {
					t.Errorf("old is %+v, want it kept: %v", v.Old, tt.kept)
				}
				r.healed()
				r.unbroken()
			})
		})
	}
}

// TestNoRewindWithoutComparison: pg_rewind goes by timeline numbers.
func TestNoRewindWithoutComparison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
		token := r.token()
		req := r.request(topology.MethodRewind, token)
		req.ProvenTo = 0
		if err := r.a.StartRun(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if st := r.follow(token, req.ID); st.Outcome != topology.RunFailed || st.Code != codes.RewindRefused {
			t.Errorf("%s %s: %s", st.Outcome, st.Code, st.Error)
		}
		r.unbroken()
	})
}

// backup runs a base backup, with or without the planner's doubt.
func (r *rig) backup(keep bool) topology.RunState {
	r.t.Helper()
	token := r.token()
	req := r.request(topology.MethodBaseBackup, token)
	req.KeepOld = keep
	if err := r.a.StartRun(r.t.Context(), req); err != nil {
		r.t.Fatalf("start run: %v", err)
	}
	return r.follow(token, req.ID)
}
