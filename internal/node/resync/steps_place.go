package resync

import (
	"context"
	"fmt"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
)

// data is where the node's data directory is now; ok is false if there is none.
func (r *run) data() (p Place, ok bool, err error) {
	for _, p := range []Place{Home, InRepair} {
		there, err := r.Host.Exists(p)
		if err != nil || there {
			return p, there, err
		}
	}
	return Home, false, nil
}

// work is the place that is being made a standby.
func (r *run) work() (Place, error) {
	if r.req.Method == topology.MethodBaseBackup {
		return New, nil
	}
	p, ok, err := r.data()
	if err == nil && !ok {
		err = Errorf(codes.NoData, "the data directory has gone")
	}
	return p, err
}

// makeRoom frees InRepair when Home holds the newer directory: an earlier run put
// a copy at Home and ended before it could put the old one away. Nothing that
// may be the only copy of something is deleted.
func makeRoom() Step {
	return Step{Name: "make-room", Code: codes.Internal,
		done: func(_ context.Context, r *run) (string, bool, error) {
			home, err := r.Host.Exists(Home)
			if err != nil || !home {
				return "", true, err
			}
			repair, err := r.Host.Exists(InRepair)
			return "", !repair, err
		},
		do: func(_ context.Context, r *run) (string, error) {
			if r.worthless() {
				return r.dropHome()
			}
			return r.putAway()
		}}
}

// worthless says that Home is a copy which never streamed and holds nothing of
// its own, so that a new copy can take its place and the one in repair stays what
// it is: the last that is known to be good (P5).
func (r *run) worthless() bool {
	if r.req.Method != topology.MethodBaseBackup || !r.state.record().Unproven {
		return false
	}
	p, err := r.Host.ProbeWAL(r.ctx, r.req.Upstream.History)
	if r.unstreamed != 0 && p.End > r.unstreamed {
		return false // it began to stream before it was stopped
	}
	return err == nil && p.Err == "" && p.Shared && !p.Beyond
}

// dropHome removes the copy at Home by way of New, which may be half there at
// any time.
func (r *run) dropHome() (string, error) {
	err := r.dropCopy(r.ctx)
	if err == nil {
		err = r.Host.Move(Home, New)
	}
	if err == nil {
		err = r.Host.Remove(New)
	}
	if err != nil {
		return "", fmt.Errorf("remove a copy that never streamed: %w", err)
	}
	return "the copy in the data directory's place never streamed and is removed; the one in repair stays", nil
}

// putAway moves InRepair to Old. Of two old copies the one with nothing to lose goes;
// of two that hold something neither does.
func (r *run) putAway() (string, error) {
	rec := r.state.record()
	old, err := r.Host.Exists(Old)
	if err != nil {
		return "", err
	}
	if old && rec.Saved.Enough() && !rec.Old.Enough() {
		if err := r.Host.Remove(InRepair); err != nil {
			return "", fmt.Errorf("remove the replaced copy: %w", err)
		}
		r.forgetRepair()
		return "the replaced copy held nothing that is not saved, and is removed", nil
	}
	if old && !rec.Old.Enough() {
		return "", r.roomToKeep()
	}
	if old {
		if err := r.Host.Remove(Old); err != nil {
			return "", fmt.Errorf("remove the older copy: %w", err)
		}
	}
	// Written before the move, so that the record of Old is there when Old is.
	r.state.set(func(rec *journal.Record) { rec.Old = rec.Saved })
	if err := r.state.put(); err != nil {
		return "", err
	}
	if err := r.Host.Move(InRepair, Old); err != nil {
		return "", fmt.Errorf("put the replaced copy away: %w", err)
	}
	r.forgetRepair()
	return "the replaced copy is put away", nil
}

// forgetRepair notes that nothing is in repair any more.
func (r *run) forgetRepair() {
	r.state.set(func(rec *journal.Record) {
		rec.Repair, rec.Saved, rec.Homed = journal.RepairNone, journal.SavedUnknown, false
		rec.Run.Damaged = false
	})
}

// moveAway takes the directory from the only place that others know (P4).
func moveAway() Step {
	return Step{Name: "move-away", Code: codes.Internal,
		done: func(_ context.Context, r *run) (string, bool, error) {
			home, err := r.Host.Exists(Home)
			return "", !home, err
		},
		intend: func(r *run) {
			r.state.set(func(rec *journal.Record) {
				rec.Repair, rec.Saved, rec.Homed = journal.RepairWhole, journal.SavedUnknown, false
			})
		},
		do: func(_ context.Context, r *run) (string, error) {
			err := r.Host.Move(Home, InRepair)
			if err == nil {
				return "", nil
			}
			if running := r.serverStopped(); running != nil {
				return "", fmt.Errorf("%w: %w", running, err)
			}
			return "", fmt.Errorf("move the directory in repair: %w", err)
		}}
}

// moveHome brings the finished directory back to where the server expects it.
func moveHome() Step {
	return Step{Name: "move-home", Code: codes.HomeOccupied, Bound: true,
		done: func(_ context.Context, r *run) (string, bool, error) {
			home, err := r.Host.Exists(Home)
			if err != nil || home {
				return "", home, err
			}
			repair, err := r.Host.Exists(InRepair)
			if r.req.Method == topology.MethodCustom {
				return "", !repair || r.state.repair() != journal.RepairWhole, err
			}
			return "", false, err
		},
		do: func(_ context.Context, r *run) (string, error) {
			if a := r.state.repair(); a != journal.RepairWhole && a != journal.RepairRewound {
				return "", Errorf(codes.Damaged, "the directory in repair must not be moved back (%s)", a)
			}
			if err := r.Host.Move(InRepair, Home); err != nil {
				return "", fmt.Errorf("bring the directory home: %w", err)
			}
			r.forgetRepair()
			return "", nil
		}}
}

// moveNewHome puts the verified copy in the old directory's place.
func moveNewHome() Step {
	return Step{Name: "move-home", Code: codes.HomeOccupied, Bound: true,
		intend: func(r *run) { r.state.set(func(rec *journal.Record) { rec.Homed, rec.Unproven = true, true }) },
		do: func(_ context.Context, r *run) (string, error) {
			if err := r.Host.Move(New, Home); err != nil {
				return "", fmt.Errorf("bring the copy home: %w", err)
			}
			r.state.set(func(rec *journal.Record) { rec.Run.Damaged = false })
			return "", nil
		}}
}

// retire puts the replaced directory away, now that the new one streams (P5).
func retire() Step {
	return Step{Name: "retire", Code: codes.Internal, Bound: true,
		done: func(_ context.Context, r *run) (string, bool, error) {
			repair, err := r.Host.Exists(InRepair)
			return "", !repair, err
		},
		do: func(_ context.Context, r *run) (string, error) { return r.putAway() }}
}

// discardOld removes replaced directories of which everything is saved.
func discardOld() Step {
	return Step{Name: "discard-old", Code: codes.Internal, Bound: true,
		done: func(_ context.Context, r *run) (string, bool, error) {
			old, err := r.Host.Exists(Old)
			if err != nil || !old {
				return "", true, err
			}
			if !r.state.record().Old.Enough() {
				return "the replaced directory is kept: not all that only it held is in the vault", true, nil
			}
			return "", false, nil
		},
		do: func(_ context.Context, r *run) (string, error) {
			if err := r.Host.Remove(Old); err != nil {
				return "", fmt.Errorf("remove the replaced directory: %w", err)
			}
			r.state.set(func(rec *journal.Record) { rec.Old = journal.SavedUnknown })
			return "", nil
		}}
}
