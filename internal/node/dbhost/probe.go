package dbhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/pgdata"
)

// ProbeWAL reads the node's own WAL, at Home or InRepair, against the history of
// the primary. It reads around the point where the two lines part and at the
// end, not all that is between, and works on a running server's directory.
// How far the last common checkpoint is away has no limit: a search that is not
// over when ctx ends goes on, and the next call takes its answer.
func (h *Host) ProbeWAL(ctx context.Context, primary topology.History) (topology.WALProbe, error) {
	p, err := h.placeOfData()
	if err != nil {
		return topology.WALProbe{}, err
	}
	probe, err := h.probeWAL(ctx, h.path(p), primary)
	if err != nil {
		return topology.WALProbe{}, fmt.Errorf("read the node's WAL: %w", err)
	}
	probe.At = time.Now()
	return probe, nil
}

func (h *Host) probeWAL(ctx context.Context, dir string, primary topology.History) (topology.WALProbe, error) {
	w, c, err := h.openWAL(ctx, dir)
	if err != nil {
		return topology.WALProbe{}, err
	}
	defer w.Close()
	probe := topology.WALProbe{Own: w.History(), DataID: dataID(dir)}
	if probe.Overwritten, err = overwritten(w, c); err != nil {
		return topology.WALProbe{}, err
	}
	probe.CommonTLI, probe.Limit, probe.Open, probe.Shared = topology.Common(probe.Own, primary)
	if probe.End, err = endOfWAL(w); err != nil {
		return topology.WALProbe{}, err
	}
	until := probe.End
	if probe.Shared && !probe.Open {
		look, err := w.LookAt(probe.Limit)
		if errors.Is(err, pgdata.ErrNoSegment) {
			// Its WAL around the limit is gone. It still ends past it or not.
			probe.Beyond = probe.End > probe.Limit
			return probe, nil
		}
		if err != nil {
			return topology.WALProbe{}, err
		}
		probe.Beyond = look.Diverged()
		until = min(until, probe.Limit)
	}
	last, err := w.RecordBefore(until)
	if errors.Is(err, pgdata.ErrNoSegment) {
		return probe, nil
	}
	if err != nil {
		return topology.WALProbe{}, err
	}
	rec := last.WALRecord()
	probe.Last = &rec
	if probe.WALFrom, err = w.OldestSegment(last.Start); err != nil {
		return topology.WALProbe{}, err
	}
	probe.LastCheckpoint, err = h.lastCheckpoint(ctx, w, c, dir, until)
	return probe, err
}

// overwritten is where the control file's checkpoint was, if the WAL has
// something else there; zero also when nothing can be said.
func overwritten(w *pgdata.WAL, c pgdata.Control) (topology.LSN, error) {
	other, err := w.OtherThan(c)
	if !other {
		return 0, err
	}
	return c.CheckpointLSN, err
}

// dataID is topology.Inspection.DataID: PG_VERSION is written once, by whatever
// fills a directory, and a rewind writes it again. Its inode and time of change
// go along when the directory is renamed.
func dataID(dir string) string {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "PG_VERSION"), &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%x-%x.%09d", st.Ino, st.Mtim.Sec, st.Mtim.Nsec)
}

// endOfWAL finds the end of the valid WAL from the newest segment that has a
// valid first page, not from the last checkpoint: that would read gigabytes
// each time.
func endOfWAL(w *pgdata.WAL) (topology.LSN, error) {
	for at, err := range w.Segments() {
		if err != nil {
			return 0, err
		}
		r, err := w.FirstRecordAfter(at)
		if err == nil {
			end, err := w.EndOfWAL(r.Start)
			return end.LSN, err
		}
		if err := missingWAL(err); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// openWAL opens the node's own WAL in dir, to be read until ctx ends.
func (h *Host) openWAL(ctx context.Context, dir string) (*pgdata.WAL, pgdata.Control, error) {
	w, c, err := pgdata.OpenOwnWAL(dir)
	if err == nil {
		w.StopWith(ctx)
		w.Remember(&h.firstPages)
	}
	return w, c, err
}

// RecordEnding reads the record of this node's line that ends at lsn, or the
// last one before it when none ends there (its End tells). The error is
// agentapi.ErrNoWAL when the WAL is gone.
func (h *Host) RecordEnding(ctx context.Context, lsn topology.LSN) (topology.WALRecord, error) {
	p, err := h.placeOfData()
	if err != nil {
		return topology.WALRecord{}, err
	}
	w, _, err := h.openWAL(ctx, h.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return topology.WALRecord{}, fmt.Errorf("read WAL before %s: %w: %w", lsn, agentapi.ErrNoWAL, err)
	}
	if err != nil {
		return topology.WALRecord{}, fmt.Errorf("read WAL before %s: %w", lsn, err)
	}
	defer w.Close()
	r, err := w.RecordBefore(lsn)
	if errors.Is(err, pgdata.ErrNoSegment) {
		return topology.WALRecord{}, fmt.Errorf("read WAL before %s: %w: %w", lsn, agentapi.ErrNoWAL, err)
	}
	if err != nil {
		return topology.WALRecord{}, fmt.Errorf("read WAL before %s: %w", lsn, err)
	}
	if r.End != lsn {
		if err := gapBefore(w, lsn); err != nil {
			return topology.WALRecord{}, err
		}
	}
	return r.WALRecord(), nil
}

// gapBefore is agentapi.ErrNoWAL when the line goes on after lsn but the
// segment before it is gone: then nothing can be said about lsn.
func gapBefore(w *pgdata.WAL, lsn topology.LSN) error {
	end, err := endOfWAL(w)
	if err != nil || end < lsn {
		return err
	}
	if _, err := w.OldestSegment(lsn - 1); errors.Is(err, pgdata.ErrNoSegment) {
		return fmt.Errorf("read WAL before %s: %w: %w", lsn, agentapi.ErrNoWAL, err)
	}
	return nil
}
