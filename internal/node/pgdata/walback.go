package pgdata

import (
	"slices"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// RecordBefore finds the last valid record that ends at or before lsn. It
// starts at the page before lsn and goes back page by page, over missing
// segments too, since WAL may end long before lsn. The error wraps
// ErrNoSegment when the directory holds no such record.
func (w *WAL) RecordBefore(lsn topology.LSN) (Record, error) {
	lsn = w.boundary(lsn)
	var segments []topology.LSN
	at := w.pageStart(max(lsn, 1) - 1)
	for {
		r, ok, err := w.lastOn(at, lsn)
		if err != nil {
			return Record{}, err
		}
		if ok {
			return r, nil
		}
		if at != w.segStart(at) {
			at -= topology.LSN(w.block)
			continue
		}
		if segments == nil {
			if segments, err = w.segments(); err != nil {
				return Record{}, err
			}
		}
		i, _ := slices.BinarySearch(segments, at)
		if i == 0 {
			name := topology.WALFileName(w.history.TimelineAt(lsn), lsn, w.seg)
			return Record{}, &WALError{File: name, LSN: lsn, Msg: "no record before this position is left", Err: ErrNoSegment}
		}
		at = segments[i-1] + topology.LSN(w.seg-w.block)
	}
}

// lastOn walks forward from the first record that starts in the page at at, to
// the last one that ends at or before lsn. ok is false when there is none.
func (w *WAL) lastOn(at, lsn topology.LSN) (last Record, ok bool, err error) {
	_, h, err := w.page(at)
	if err == nil {
		off, room := h.firstRecord(w.block)
		if !room || at+topology.LSN(off) >= lsn {
			return Record{}, false, nil
		}
		last, err = w.recordAt(at+topology.LSN(off), nil)
	}
	if endOfWAL(err) {
		return Record{}, false, nil
	}
	if err != nil || last.End > lsn {
		return Record{}, false, err
	}
	for {
		next, err := w.Next(last)
		if err != nil && !endOfWAL(err) {
			return Record{}, false, err
		}
		if err != nil || next.End > lsn {
			return last, true, nil
		}
		last = next
	}
}

// RecordEnding finds the record that ends exactly at lsn; ok is false when a
// valid record reaches over lsn, or WAL ends before it.
func (w *WAL) RecordEnding(lsn topology.LSN) (r Record, ok bool, err error) {
	r, err = w.RecordBefore(lsn)
	return r, err == nil && r.End == w.boundary(lsn), err
}

// boundary gives the one spelling of a position that Record.End uses: right
// after a page's header is the same place as the page's start.
func (w *WAL) boundary(lsn topology.LSN) topology.LSN {
	at, header := w.pageStart(lsn), topology.LSN(shortPageHeader)
	if at == w.segStart(lsn) {
		header = longPageHeader
	}
	if lsn == at+header {
		return at
	}
	return lsn
}

// Place says what a node's WAL has at a position.
type Place string

// The places. Only PlaceRecord and PlaceInside mean that the node wrote
// something of its own past the position.
const (
	PlaceShort  Place = "short"  // WAL ends before the position
	PlaceEnd    Place = "end"    // WAL ends exactly there
	PlaceRecord Place = "record" // a valid record starts there
	PlaceInside Place = "inside" // a valid record reaches over it
)

// Look is what is at one position of a node's WAL.
type Look struct {
	Place Place
	// Before is the last record that ends at or before the position. For the
	// node to be on the other's line, it must be the other's too.
	Before Record
	// Own is the record past the position, with PlaceRecord and PlaceInside.
	Own Record
}

// Diverged says whether the node holds a valid record past the position.
func (l Look) Diverged() bool { return l.Place == PlaceRecord || l.Place == PlaceInside }

// LookAt reads what is at lsn, a switch point of another node's history:
// whether a record of this node's own begins there, sound in length, checksum
// and link to the record before. Remains of an earlier use of the file do not
// count. The error wraps ErrNoSegment when the WAL before lsn is gone, and
// ErrGap when WAL is damaged or missing there but goes on later: unknown.
func (w *WAL) LookAt(lsn topology.LSN) (Look, error) {
	before, err := w.RecordBefore(lsn)
	if err != nil {
		return Look{}, err
	}
	at := before.End == w.boundary(lsn)
	next, ok, err := w.nextOrEnd(before)
	look := Look{Before: before}
	switch {
	case err != nil:
		return Look{}, err
	case ok && at:
		look.Place, look.Own = PlaceRecord, next
	case ok:
		look.Place, look.Own = PlaceInside, next
	case at:
		look.Place = PlaceEnd
	default:
		look.Place = PlaceShort
	}
	return look, nil
}

// nextOrEnd is the record after r; ok is false when WAL truly ends with r.
func (w *WAL) nextOrEnd(r Record) (next Record, ok bool, err error) {
	next, err = w.Next(r)
	if err == nil {
		return next, true, nil
	}
	end, err := w.endAt(r, err)
	if err == nil && end.Beyond != 0 {
		err = &WALError{File: end.Reason.File, LSN: r.End, Msg: end.Reason.Msg + ", but valid WAL follows at " +
			end.Beyond.String(), Err: ErrGap}
	}
	return Record{}, false, err
}

// HasRecordAt says whether a valid record of this line starts at lsn and links
// back to the record that ends there. False also when WAL reaches past lsn in
// another way: LookAt tells these apart, and is what decides divergence.
func (w *WAL) HasRecordAt(lsn topology.LSN) (bool, error) {
	look, err := w.LookAt(lsn)
	return look.Place == PlaceRecord, err
}

// Checkpoint is a checkpoint record with the part of its body that says where
// recovery from it begins.
type Checkpoint struct {
	Record       Record
	Redo         topology.LSN
	Timeline     topology.TimelineID
	PrevTimeline topology.TimelineID
	Shutdown     bool
	Time         time.Time // start of the checkpoint, whole seconds, UTC
	Body         CheckpointBody
}

// LastCheckpointBefore finds the last checkpoint record that ends at or before
// lsn, walking back segment by segment. With lsn the divergence point it is
// the last common checkpoint, from where pg_rewind copies. The error wraps
// ErrNoSegment when the WAL that holds it is gone, ErrGap as for LookAt.
func (w *WAL) LastCheckpointBefore(lsn topology.LSN) (Checkpoint, error) {
	s := CheckpointSearch{Before: lsn}
	return s.Run(w)
}

// CheckpointSearch is LastCheckpointBefore for WAL of which there may be much: a
// search that was stopped goes on where it was. Set Before; the rest is its own.
type CheckpointSearch struct {
	Before topology.LSN
	// until is where the part begins that has been read, and holds no checkpoint;
	// zero: nothing has been read.
	until topology.LSN
	// Passed is called, if set, with until after each segment.
	Passed func(until topology.LSN)
}

// Run searches w, or goes on after an earlier Run that ended with an error.
func (s *CheckpointSearch) Run(w *WAL) (Checkpoint, error) {
	if s.until == 0 {
		before, err := w.RecordBefore(s.Before)
		if err != nil {
			return Checkpoint{}, err
		}
		if before.End != w.boundary(s.Before) {
			if _, _, err := w.nextOrEnd(before); err != nil {
				return Checkpoint{}, err
			}
		}
		s.until = min(before.End, w.segStart(before.Start)+topology.LSN(w.seg))
	}
	w.scratch = new([3][]byte)
	defer func() { w.scratch = nil }()
	for s.until > 0 {
		seg := w.segStart(s.until - 1)
		found, ok, err := w.lastCheckpointIn(seg, s.until)
		if err != nil || ok {
			return found, err
		}
		if s.until = seg; s.Passed != nil {
			s.Passed(seg)
		}
	}
	return Checkpoint{}, w.stop(0, "no checkpoint before this position")
}

// lastCheckpointIn is the last checkpoint that starts in segment seg and
// before until. The records up to there must all be sound.
func (w *WAL) lastCheckpointIn(seg, until topology.LSN) (found Checkpoint, ok bool, err error) {
	until = min(until, seg+topology.LSN(w.seg))
	r, some, err := w.firstInSegment(seg)
	if err != nil || !some {
		return Checkpoint{}, false, err
	}
	for r.Start < until {
		if c, is := parseCheckpoint(r); is {
			found, ok = c, true
			found.Record.raw = slices.Clone(r.raw) // it outlives the walk
		}
		if r.End >= until {
			break
		}
		if r, err = w.Next(r); err != nil {
			return Checkpoint{}, false, err
		}
	}
	return found, ok, nil
}

// parseCheckpoint reads the body of a checkpoint record, whose first fields
// are the same in PostgreSQL 13–18.
func parseCheckpoint(r Record) (Checkpoint, bool) {
	if !r.IsCheckpoint() {
		return Checkpoint{}, false
	}
	d, err := r.Decode()
	if err != nil || len(d.Main) < 72 {
		return Checkpoint{}, false
	}
	b := d.Main
	return Checkpoint{
		Record: r, Redo: topology.LSN(order.Uint64(b)), Timeline: topology.TimelineID(order.Uint32(b[8:])),
		PrevTimeline: topology.TimelineID(order.Uint32(b[12:])), Shutdown: r.Info&0xF0 == xlogCheckpointShutdown,
		Time: time.Unix(int64(order.Uint64(b[64:])), 0).UTC(), Body: CheckpointBody(b),
	}, true
}
