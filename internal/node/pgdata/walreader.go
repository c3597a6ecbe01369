package pgdata

import (
	"errors"
	"iter"

	"github.com/repool/repool/internal/core/topology"
)

// overwritten says that a record was begun but never finished: the server
// crashed, and after recovery a page at Next told readers to forget it.
type overwritten struct{ Next topology.LSN }

func (o *overwritten) Error() string { return "the record was abandoned at " + o.Next.String() }

// RecordAt reads the record that starts at lsn, or, when lsn is a page's start,
// right after that page's header. The *WALError without a wrapped error means
// that no valid record starts there.
func (w *WAL) RecordAt(lsn topology.LSN) (Record, error) { return w.recordAt(lsn, nil) }

// recordAt is RecordAt with the link to the record before checked, if known.
func (w *WAL) recordAt(lsn topology.LSN, prev *topology.LSN) (Record, error) {
	r, err := w.assemble(lsn, prev)
	var o *overwritten
	if errors.As(err, &o) {
		return Record{}, w.stop(lsn, o.Error())
	}
	return r, err
}

// Next reads the record that follows r. An abandoned record between the two
// is stepped over, as recovery does.
func (w *WAL) Next(r Record) (Record, error) {
	next, err := w.assemble(r.End, &r.Start)
	var o *overwritten
	if errors.As(err, &o) {
		return w.recordAt(o.Next, &r.Start)
	}
	return next, err
}

// assemble collects the record at lsn from its pages and checks it.
func (w *WAL) assemble(lsn topology.LSN, prev *topology.LSN) (Record, error) {
	at := w.pageStart(lsn)
	page, h, err := w.page(at)
	if err != nil {
		return Record{}, err
	}
	if lsn == at {
		lsn += topology.LSN(h.size)
	}
	off := uint64(lsn - at)
	switch {
	case off < uint64(h.size):
		return Record{}, w.stop(lsn, "the position is inside a page header")
	case off%8 != 0:
		return Record{}, w.stop(lsn, "no record starts at an odd position")
	case off == uint64(h.size) && h.continues():
		return Record{}, w.stop(lsn, "the page begins with the rest of an earlier record")
	}
	length := uint64(order.Uint32(page[off:]))
	if length < recordHeader {
		return Record{}, w.stop(lsn, "no record here")
	}
	buf := w.keep(page[off:min(w.block, off+length)], length)
	rec := Record{Start: lsn, End: lsn + topology.LSN(align8(length)), Timeline: w.history.TimelineAt(lsn)}
	if rec, err = w.header(rec, buf, prev); err != nil {
		return Record{}, err
	}
	for uint64(len(buf)) < length {
		at += topology.LSN(w.block)
		if page, h, err = w.page(at); err != nil {
			return Record{}, err
		}
		left := length - uint64(len(buf))
		if h.info&pageFirstIsOverwrite != 0 {
			return Record{}, &overwritten{Next: at}
		}
		if !h.continues() || uint64(h.rest) != left {
			return Record{}, w.stop(at, "the record is not continued here")
		}
		n := min(left, w.block-uint64(h.size))
		buf = append(buf, page[h.size:uint64(h.size)+n]...)
		rec.End = at + topology.LSN(uint64(h.size)+align8(n))
		if rec, err = w.header(rec, buf, prev); err != nil {
			return Record{}, err
		}
	}
	if crc := recordCRC(buf); crc != rec.CRC {
		return Record{}, w.stop(lsn, "the record's checksum does not match")
	}
	rec.file, rec.major, rec.raw = w.fileName, h.major, buf
	if rec.isSwitch() {
		rec.End = w.segStart(rec.End + topology.LSN(w.seg) - 1)
	}
	return rec, nil
}

// header fills rec from buf once the fixed part is there; before that it
// leaves rec as it is.
func (w *WAL) header(rec Record, buf []byte, prev *topology.LSN) (Record, error) {
	if len(buf) < recordHeader || rec.Len != 0 {
		return rec, nil
	}
	r, msg := parseRecordHeader(buf, rec.Start, prev)
	if msg != "" {
		return Record{}, w.stop(rec.Start, msg)
	}
	r.End, r.Timeline = rec.End, rec.Timeline
	return r, nil
}

// FirstRecordAfter finds the first record that starts in or after the page
// that begins at pageStart, without knowing any record before it; other
// positions are rounded up to a page. It does not look past the segment.
func (w *WAL) FirstRecordAfter(pageStart topology.LSN) (Record, error) {
	r, ok, err := w.firstInSegment(w.pageStart(pageStart + topology.LSN(w.block) - 1))
	if err == nil && !ok {
		return Record{}, w.stop(pageStart, "no record starts in the rest of this segment")
	}
	return r, err
}

// firstInSegment is the first record that starts in the page at at or in a
// later one of its segment. ok is false when one long record fills them all.
func (w *WAL) firstInSegment(at topology.LSN) (r Record, ok bool, err error) {
	for end := w.segStart(at) + topology.LSN(w.seg); at < end; at += topology.LSN(w.block) {
		_, h, err := w.page(at)
		if err != nil {
			return Record{}, false, err
		}
		if off, room := h.firstRecord(w.block); room {
			r, err := w.recordAt(at+topology.LSN(off), nil)
			return r, err == nil, err
		}
	}
	return Record{}, false, nil
}

// first is the record to begin a walk with: the one at from, or the first that
// starts in the page when from is a page's start.
func (w *WAL) first(from topology.LSN) (Record, error) {
	if from == w.pageStart(from) {
		return w.FirstRecordAfter(from)
	}
	return w.RecordAt(from)
}

// WALEnd is where the valid WAL of a line ends.
type WALEnd struct {
	// LSN is the End of the last valid record: where the next one would be
	// written, and what a promotion at this point would write into its history.
	LSN  topology.LSN
	Last Record
	// Reason says what is there instead of a record.
	Reason *WALError
	// Beyond is the start of a later segment of the line whose first page is
	// valid all the same; zero normally. WAL is then missing or damaged in
	// between, and the end found must not be trusted as the true one.
	Beyond topology.LSN
}

// EndOfWAL walks the valid records from from (the redo point, or the start of
// any page) to the end of WAL. There must be a valid record at from: an error,
// also of type *WALError, says that there is none or that a file is unreadable.
func (w *WAL) EndOfWAL(from topology.LSN) (WALEnd, error) {
	w.scratch = new([3][]byte)
	end, err := w.Walk(from, func(Record) error { return nil })
	w.scratch = nil
	return end, err
}

// Walk is EndOfWAL that shows each record to see. An error of see ends the
// walk and is returned.
func (w *WAL) Walk(from topology.LSN, see func(Record) error) (WALEnd, error) {
	r, err := w.first(from)
	if err != nil {
		return WALEnd{}, err
	}
	for {
		if err := see(r); err != nil {
			return WALEnd{LSN: r.End, Last: r}, err
		}
		next, err := w.Next(r)
		if err != nil {
			return w.endAt(r, err)
		}
		r = next
	}
}

// endAt makes the WALEnd after last, given why there is no next record.
func (w *WAL) endAt(last Record, err error) (WALEnd, error) {
	end := WALEnd{LSN: last.End, Last: last}
	if !endOfWAL(err) {
		return end, err
	}
	errors.As(err, &end.Reason)
	starts, err := w.segments()
	if err != nil {
		return end, err
	}
	for _, at := range starts {
		if at <= last.End {
			continue
		}
		err := w.begins(at)
		if err == nil {
			end.Beyond = at
			return end, nil
		}
		if !endOfWAL(err) {
			return end, err
		}
	}
	return end, nil
}

// errStop ends a walk from inside.
var errStop = errors.New("walk stopped")

// Records iterates over the valid records from from, as Walk does. It ends
// silently at the end of WAL; any error comes once, at the end.
func (w *WAL) Records(from topology.LSN) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		_, err := w.Walk(from, func(r Record) error {
			if !yield(r, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Record{}, err)
		}
	}
}
