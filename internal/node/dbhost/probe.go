package dbhost

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/pgdata"
)

// ProbeWAL reads the node's own WAL, at Home or InRepair, against the history of
// the primary. It reads around the point where the two lines part and at the
// end, not all that lies between, and works on a running server's directory.
func (h *Host) ProbeWAL(primary topology.History) (topology.WALProbe, error) {
	p, err := h.placeOfData()
	if err != nil {
		return topology.WALProbe{}, err
	}
	probe, err := probeWAL(h.path(p), primary)
	if err != nil {
		return topology.WALProbe{}, fmt.Errorf("read the node's WAL: %w", err)
	}
	probe.At = time.Now()
	return probe, nil
}

func probeWAL(dir string, primary topology.History) (topology.WALProbe, error) {
	w, c, err := pgdata.OpenOwnWAL(dir)
	if err != nil {
		return topology.WALProbe{}, err
	}
	defer w.Close()
	probe := topology.WALProbe{Own: w.History(), DataID: dataID(dir)}
	if probe.Overwritten, err = overwritten(w, c); err != nil {
		return topology.WALProbe{}, err
	}
	probe.CommonTLI, probe.Limit, probe.Open, probe.Shared = topology.Common(probe.Own, primary)
	if probe.End, err = endOfWAL(w, dir, c); err != nil {
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
	probe.LastCheckpoint, err = lastCheckpoint(w, c, until)
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
func endOfWAL(w *pgdata.WAL, dir string, c pgdata.Control) (topology.LSN, error) {
	starts, err := segmentStarts(dir, w.History(), c.SegmentSize)
	if err != nil {
		return 0, err
	}
	for _, at := range slices.Backward(starts) {
		r, err := w.FirstRecordAfter(at)
		if err == nil {
			end, err := w.EndOfWAL(r.Start)
			return end.LSN, err
		}
		var stop *pgdata.WALError
		if !errors.As(err, &stop) || (stop.Err != nil && !errors.Is(err, pgdata.ErrNoSegment)) {
			return 0, err
		}
	}
	return 0, nil
}

// segmentStarts lists where the segments begin that a line of timelines may
// have in dir/pg_wal, rising.
func segmentStarts(dir string, h topology.History, segSize uint64) ([]topology.LSN, error) {
	files, err := filepath.Glob(filepath.Join(dir, "pg_wal", "[0-9A-F]*"))
	if err != nil {
		return nil, err
	}
	var starts []topology.LSN
	for _, f := range files {
		if tli, at, ok := topology.ParseWALFileName(filepath.Base(f), segSize); ok && h.Contains(tli) {
			starts = append(starts, at)
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts), nil
}

// lastCheckpoint is the redo point of the last checkpoint at or before until;
// zero when its WAL is gone. The control file's own is taken when it fits,
// since the way back to the one before can be long.
func lastCheckpoint(w *pgdata.WAL, c pgdata.Control, until topology.LSN) (topology.LSN, error) {
	if c.CheckpointLSN < until {
		r, err := w.RecordAt(c.CheckpointLSN)
		if err == nil && r.IsCheckpoint() && r.End <= until {
			if _, err := w.OldestSegment(c.RedoLSN); err == nil {
				return c.RedoLSN, nil
			}
		}
	}
	found, err := w.LastCheckpointBefore(until)
	var stop *pgdata.WALError
	if errors.As(err, &stop) && (stop.Err == nil || errors.Is(err, pgdata.ErrNoSegment)) {
		return 0, nil
	}
	return found.Redo, err
}

// RecordEnding reads the record of this node's line that ends at lsn, or the
// last one before it when none ends there (its End tells). The error is
// agentapi.ErrNoWAL when the WAL is gone.
func (h *Host) RecordEnding(lsn topology.LSN) (topology.WALRecord, error) {
	p, err := h.placeOfData()
	if err != nil {
		return topology.WALRecord{}, err
	}
	w, _, err := pgdata.OpenOwnWAL(h.path(p))
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
		if err := gapBefore(w, h.path(p), lsn); err != nil {
			return topology.WALRecord{}, err
		}
	}
	return r.WALRecord(), nil
}

// gapBefore is agentapi.ErrNoWAL when the line goes on after lsn but the
// segment before it is gone: then nothing can be said about lsn.
func gapBefore(w *pgdata.WAL, dir string, lsn topology.LSN) error {
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		return err
	}
	end, err := endOfWAL(w, dir, c)
	if err != nil || end < lsn {
		return err
	}
	if _, err := w.OldestSegment(lsn - 1); errors.Is(err, pgdata.ErrNoSegment) {
		return fmt.Errorf("read WAL before %s: %w: %w", lsn, agentapi.ErrNoWAL, err)
	}
	return nil
}
