package sim

import (
	"github.com/repool/repool/internal/core/topology"
)

// kind is what a WAL record is, as far as it matters here.
type kind byte

const (
	other kind = iota
	commit
	checkpoint
	endOfRecovery // the first record of a timeline
)

// record is one WAL record; through its parent it is a whole line of WAL. Two
// lines are the same up to where they share records, whatever their numbers.
type record struct {
	parent     *record
	start, end topology.LSN
	tli        topology.TimelineID
	kind       kind
	crc        uint32
	// id names a commit for ever. state is what the data are after this record:
	// two lines with equal states at equal positions hold equal rows.
	id, state uint64
	line      *topology.History // of tli
}

const (
	firstLSN = topology.LSN(0x3000028)
	segment  = uint64(16 << 20)
)

// origin is the first record of a new cluster.
func origin(system topology.SystemID) *record {
	h := &topology.History{TLI: 1}
	return &record{start: firstLSN, end: firstLSN + 0x70, tli: 1, kind: checkpoint, crc: uint32(hashOf(uint64(system))), state: uint64(system), line: h}
}

func (r *record) prev() topology.LSN {
	if r.parent == nil {
		return 0
	}
	return r.parent.start
}

// write appends a record to the line that ends with r.
func (w *World) write(r *record, k kind, bytes uint64) *record {
	w.records++
	n := &record{parent: r, start: r.end, end: r.end + topology.LSN(bytes&^7), tli: r.tli, kind: k, line: r.line, state: r.state,
		crc: uint32(hashOf(w.seed, w.records, uint64(r.crc)))}
	if k == commit {
		n.id = w.records
		n.state = hashOf(r.state, n.id)
	}
	return n
}

// fork begins a new timeline at r.
func (w *World) fork(r *record, tli topology.TimelineID) *record {
	n := w.write(r, endOfRecovery, 0x30)
	h := topology.History{TLI: tli, Ancestors: append(append([]topology.HistoryEntry(nil), r.line.Ancestors...), topology.HistoryEntry{TLI: r.tli, Switch: r.end})}
	n.tli, n.line = tli, &h
	return n
}

// graft is what a standby has after it took o, of another line, for the record
// that follows r.
func graft(r, o *record) *record {
	n := *o
	n.parent, n.state = r, r.state
	if o.kind == commit {
		n.state = hashOf(r.state, o.id)
	}
	return &n
}

// holds says whether the line that ends with tip has record r.
func holds(tip, r *record) bool {
	for tip != nil && tip.start > r.start {
		tip = tip.parent
	}
	return tip == r
}

// at is the record of tip's line that ends at lsn or, when there is none, the
// last one before.
func at(tip *record, lsn topology.LSN) *record {
	for tip != nil && tip.end > lsn {
		tip = tip.parent
	}
	return tip
}

// after is the record of tip's line that starts at lsn, or nil.
func after(tip *record, lsn topology.LSN) *record {
	for tip != nil && tip.start > lsn {
		tip = tip.parent
	}
	if tip != nil && tip.start == lsn {
		return tip
	}
	return nil
}

// common is the last record that two lines share, or nil.
func common(a, b *record) *record {
	for a != nil && b != nil && a != b {
		if a.start >= b.start {
			a = a.parent
		} else {
			b = b.parent
		}
	}
	if a == b {
		return a
	}
	return nil
}

// path lists the records after from on the line of tip, which must hold from,
// at most n, oldest first.
func path(from, tip *record, n int) []*record {
	var all []*record
	for r := tip; r != nil && r != from; r = r.parent {
		all = append(all, r)
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all[:min(n, len(all))]
}

// sameData says whether tip holds, up to r's end, exactly the rows that r's line
// does.
func sameData(r, tip *record) bool {
	o := at(tip, r.end)
	return o != nil && o.end == r.end && o.state == r.state
}

// lastCheckpoint is the last checkpoint of the line that ends at or before lsn.
func lastCheckpoint(tip *record, lsn topology.LSN) *record {
	for r := tip; r != nil; r = r.parent {
		if r.end <= lsn && r.kind == checkpoint {
			return r
		}
	}
	return nil
}

// identity is the record as agents tell of it.
func (r *record) identity() topology.WALRecord {
	return topology.WALRecord{Start: r.start, End: r.end, Prev: r.prev(), CRC: r.crc}
}

// segmentOf is where the segment of lsn begins.
func segmentOf(lsn topology.LSN) topology.LSN { return lsn - lsn%topology.LSN(segment) }
