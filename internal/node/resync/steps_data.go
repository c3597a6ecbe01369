package resync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
)

// progress is the Progress of the step with that name.
func (r *run) progress(step string) Progress {
	return func(done, total uint64) {
		if total == 0 {
			total = r.size
		}
		r.state.progress(done, total)
		r.pass(step + ":" + atProgress)
	}
}

// vault saves what only this node holds before anything overwrites it (P3).
func vault() Step {
	return Step{Name: "vault", Code: codes.VaultFailed, Breakable: true, Moves: true,
		done: func(_ context.Context, r *run) (string, bool, error) { return r.nothingToSave() },
		do: func(ctx context.Context, r *run) (string, error) {
			p, _, err := r.data()
			if err != nil {
				return "", err
			}
			entry, err := r.Host.Vault(ctx, r.req, p, r.progress("vault"))
			if err != nil {
				return "", fmt.Errorf("save WAL that only this node holds: %w", err)
			}
			saved, note := journal.SavedAll, fmt.Sprintf("%d lost commits, %s saved", entry.Commits,
				humanize.IBytes(entry.Bytes))
			if missing := r.unsaved(entry); missing != "" {
				saved, note = journal.SavedPart, note+"; incomplete: "+missing
				if err := r.roomToKeep(); err != nil {
					return "", err
				}
			}
			r.state.set(func(rec *journal.Record) { rec.Saved, rec.Run.Vault = saved, &entry })
			return note, nil
		}}
}

// nothingToSave says why there is nothing to copy to the vault, and notes how
// much of the directory is known to be saved.
func (r *run) nothingToSave() (note string, skip bool, err error) {
	p, ok, err := r.data()
	if err != nil {
		return "", false, err
	}
	rec := r.state.record()
	switch {
	case !ok:
		r.saved(journal.SavedNothing)
		return "there is no directory to save from", true, nil
	case p == InRepair && (rec.Repair == journal.RepairDamaged || rec.Repair == journal.RepairRewound):
		if rec.Saved == journal.SavedUnknown {
			return r.keepWhole("the directory is half overwritten: what it held before is unknown")
		}
		return "saved by an earlier run", true, nil
	case p == InRepair && rec.Saved.Enough() && sameUpstream(r.Prior.Record.Request.Upstream, r.req.Upstream):
		return "saved by an earlier run", true, nil
	}
	switch over := r.overwritten(); {
	case over && r.req.Method == topology.MethodRewind:
		return "", false, Errorf(codes.RewindRefused, "WAL of another line was received over the node's own: pg_rewind "+
			"would go by it")
	case r.req.Method == topology.MethodBaseBackup && (over || r.req.KeepOld):
		return r.keepWhole("its WAL may be another line's than its data: what is lost cannot be listed, and the directory " +
			"itself is kept")
	}
	control, err := r.Host.Control(p)
	if err != nil {
		if r.req.Method == topology.MethodRewind {
			return "", false, Errorf(codes.RewindRefused, "the control file cannot be read: %w", err)
		}
		return r.keepWhole("what the directory holds is unknown: " + err.Error())
	}
	switch {
	case r.req.Method == topology.MethodRewind && r.req.ProvenTo == 0:
		return "", false, Errorf(codes.RewindRefused, "the node's WAL was not compared with the primary's by content: "+
			"pg_rewind would go by timeline numbers")
	case r.req.Method == topology.MethodRewind || r.req.Divergence != 0:
		return "", false, nil
	case r.onLine(control):
		r.saved(journal.SavedNothing)
		return "its WAL is proven to be the primary's: nothing to save", true, nil
	case r.req.Method == topology.MethodBaseBackup:
		return r.keepWhole("its WAL is not proven to be the primary's: it may hold commits of its own, and the " +
			"directory itself is kept")
	}
	return "", false, nil
}

// onLine says whether the directory certainly holds nothing but the primary's WAL.
// Timelines prove nothing: two nodes can have written to one number, also to one that the
// primary has left since (hazard 1). Nor does a control file "in recovery": a primary
// that was made a standby again has that too.
func (r *run) onLine(c topology.Control) bool {
	p, err := r.Host.ProbeWAL(r.ctx, r.req.Upstream.History)
	if err != nil || p.Err != "" || !p.Shared || p.Beyond || p.Last == nil || r.req.ProvenTo == 0 {
		return false
	}
	return p.Last.End <= r.req.ProvenTo ||
		(r.req.Streaming || r.streamed) && p.Open && strings.Contains(c.State, "recovery")
}

// unsaved says what of the node's own commits need not be in its vault entry; empty:
// it has all of them.
func (r *run) unsaved(e topology.VaultEntry) string {
	switch {
	case !e.Complete:
		return e.Missing
	case r.req.ProvenTo == 0:
		return fmt.Sprintf("the WAL before %s was not compared with the primary's", r.req.Divergence)
	}
	return ""
}

// overwritten says that the WAL in the directory is not that of its data any more.
// The server is stopped by now: nothing is written over it after this look.
func (r *run) overwritten() bool {
	p, err := r.Host.ProbeWAL(r.ctx, r.req.Upstream.History)
	return err == nil && p.Overwritten != 0
}

// keepWhole has the directory itself kept when it is replaced, since the vault
// cannot hold what it has.
func (r *run) keepWhole(why string) (note string, skip bool, err error) {
	if err := r.roomToKeep(); err != nil {
		return "", false, err
	}
	r.saved(journal.SavedPart)
	return why, true, nil
}

// roomToKeep refuses to put a second directory away that holds what is nowhere
// else: the first would have to go for it (P3).
func (r *run) roomToKeep() error {
	old, err := r.Host.Exists(Old)
	if err != nil || !old || r.state.record().Old.Enough() {
		return err
	}
	return &Error{Code: codes.VaultFailed,
		Hint: "look at old in the node's work directory, and remove it when nothing in it is needed",
		Err:  errors.New("what this directory holds cannot be saved either, and an earlier one is still kept")}
}

func (r *run) saved(s journal.Saved) {
	r.state.set(func(rec *journal.Record) { rec.Saved = s })
}

// wholeInRepair refuses to touch a directory that is not whole and in repair.
func (r *run) wholeInRepair() error {
	there, err := r.Host.Exists(InRepair)
	if err != nil {
		return err
	}
	if a := r.state.repair(); !there || a != journal.RepairWhole {
		return Errorf(codes.Damaged, "the directory is not whole and in repair (%q)", a)
	}
	return nil
}

// rewoundAlready skips a step when an earlier run finished the rewind.
func rewoundAlready(_ context.Context, r *run) (string, bool, error) {
	if r.state.repair() == journal.RepairRewound {
		return "an earlier run has rewound the directory already", true, nil
	}
	return "", false, nil
}

// refillWAL puts saved segments back that the rewind has to read.
func refillWAL() Step {
	return Step{Name: "refill-wal", Code: codes.RewindRefused, Breakable: true,
		done: func(ctx context.Context, r *run) (string, bool, error) {
			if note, done, err := rewoundAlready(ctx, r); done || err != nil {
				return note, done, err
			}
			return "", r.state.record().Run.Vault == nil, nil
		},
		do: func(_ context.Context, r *run) (string, error) {
			if err := r.wholeInRepair(); err != nil {
				return "", err
			}
			return "", r.Host.RefillWAL(InRepair, *r.state.record().Run.Vault)
		}}
}

// settle finishes crash recovery in the work directory, adding no WAL: pg_rewind wants a
// directory that was shut down, and its own way of doing it makes nodes
// diverge that had not (hazard 3).
func settle() Step {
	return Step{Name: "settle", Code: codes.SettleFailed, Breakable: true,
		done: func(ctx context.Context, r *run) (string, bool, error) {
			if note, done, err := rewoundAlready(ctx, r); done || err != nil {
				return note, done, err
			}
			c, err := r.Host.Control(InRepair)
			if err != nil {
				return "", false, fmt.Errorf("read the control file: %w", err)
			}
			if c.WasCleanShutdown || c.ShutDownInRecover {
				return "it was shut down cleanly", true, nil
			}
			return "", false, nil
		},
		do: func(ctx context.Context, r *run) (string, error) {
			if err := r.wholeInRepair(); err != nil {
				return "", err
			}
			return "", r.Host.Settle(ctx)
		}}
}

// rewind overwrites the directory in repair with the primary's blocks. pg_rewind's
// "nothing to do" is believed only where the WAL says the same (hazards 1 and 2).
func rewind() Step {
	return Step{Name: "rewind", Code: codes.RewindFailed, Clearance: true, Damages: true, Moves: true,
		done: rewoundAlready,
		do: func(ctx context.Context, r *run) (string, error) {
			needed, err := r.Host.Rewind(ctx, r.req.Upstream, r.progress("rewind"))
			if err != nil || needed {
				return "", err
			}
			p, err := r.Host.ProbeWAL(r.ctx, r.req.Upstream.History)
			if err == nil && p.Err != "" {
				err = errors.New(p.Err)
			}
			if err == nil && (!p.Shared || p.Beyond || p.Open) {
				err = errors.New("the node's WAL is not proven to be the primary's")
			}
			if err != nil {
				return "", &Error{Code: codes.RewindRefused, Untouched: true,
					Err: fmt.Errorf("pg_rewind sees no divergence, and that cannot be believed: %w", err)}
			}
			r.unchanged = true
			return "nothing has diverged: no rewind was needed", nil
		}}
}

// awaitSlot waits for the node's slot, before the copy's clearance: both that and the
// proof of the primary must be fresh when the copy begins (P2). The slot may have been
// dropped since the run began, most of all during such a wait.
func awaitSlot() Step {
	return Step{Name: "await-slot", Code: codes.SlotHeld, Breakable: true,
		do: func(ctx context.Context, r *run) (string, error) {
			if err := r.awaitSlot(ctx); err != nil {
				return "", err
			}
			return "", r.Upstream.EnsureSlot(ctx, r.req.Upstream, r.req.Slot)
		}}
}

// copyUpstream makes a base backup beside the old directory.
func copyUpstream() Step {
	return Step{Name: "copy", Code: codes.CopyFailed, Clearance: true, Breakable: true, Moves: true,
		do: func(ctx context.Context, r *run) (string, error) {
			if err := r.dropCopy(ctx); err != nil {
				return "", fmt.Errorf("remove an unfinished copy: %w", err)
			}
			return "", r.Host.BaseBackup(ctx, r.req.Upstream, r.req.Slot, r.progress("copy"))
		}}
}

// verifyCopy checks the copy against its manifest.
func verifyCopy() Step {
	return Step{Name: "verify", Code: codes.VerifyFailed, ReadOnly: true, Breakable: true,
		do: func(ctx context.Context, r *run) (string, error) { return "", r.Host.VerifyBackup(ctx) }}
}

// custom runs the operator's own resync_command. Its command works on the
// directory at Home, so the half-done state that the built-in methods keep
// away from there is his to avoid.
func custom() Step {
	return Step{Name: "custom", Code: codes.CustomFailed, Clearance: true,
		do: func(ctx context.Context, r *run) (string, error) { return "", r.Host.Custom(ctx, r.req) }}
}
