package fakehost

import (
	"slices"

	"github.com/repool/repool/internal/core/topology"
)

// Kind is what a WAL record is, as far as it matters here.
type Kind byte

// The kinds of records.
const (
	Other Kind = iota
	Commit
	Checkpoint
	EndOfRecovery // the first record of a timeline
)

// Record is one WAL record; through its parent it is a whole line of WAL. Two lines are the same up to where they share
// records, whatever their numbers. A record is never changed.
type Record struct {
	Parent     *Record
	Start, End topology.LSN
	TLI        topology.TimelineID
	Kind       Kind
	crc        uint32
	// ID names a commit for ever. State is what the data are after this record: two lines with equal states at equal
	// positions have equal rows.
	ID, State uint64
	line      *topology.History // of TLI
}

// FirstLSN is where the WAL of every cluster begins.
const FirstLSN = topology.LSN(0x3000028)

const segment = uint64(16 << 20)

// WAL writes records. Seed tells its records from another one's.
type WAL struct {
	Seed    uint64
	written uint64
}

// Origin is the first record of a new cluster.
func Origin(system topology.SystemID) *Record {
	h := &topology.History{TLI: 1}
	return &Record{Start: FirstLSN, End: FirstLSN + 0x70, TLI: 1, Kind: Checkpoint, crc: uint32(hashOf(uint64(system))),
		State: uint64(system), line: h}
}

func (r *Record) prev() topology.LSN {
	if r.Parent == nil {
		return 0
	}
	return r.Parent.Start
}

// Write appends a record to the line that ends with r.
func (w *WAL) Write(r *Record, k Kind, bytes uint64) *Record {
	w.written++
	n := &Record{Parent: r, Start: r.End, End: r.End + topology.LSN(bytes&^7), TLI: r.TLI, Kind: k, line: r.line,
		State: r.State, crc: uint32(hashOf(w.Seed, w.written, uint64(r.crc)))}
	if k == Commit {
		n.ID = w.written
		n.State = hashOf(r.State, n.ID)
	}
	return n
}

// Fork begins a new timeline at r.
func (w *WAL) Fork(r *Record, tli topology.TimelineID) *Record {
	n := w.Write(r, EndOfRecovery, 0x30)
	h := topology.History{TLI: tli, Ancestors: append(slices.Clone(r.line.Ancestors),
		topology.HistoryEntry{TLI: r.TLI, Switch: r.End})}
	n.TLI, n.line = tli, &h
	return n
}

// graft is what a standby has after it took o, of another line, for the record
// that follows r.
func graft(r, o *Record) *Record {
	n := *o
	n.Parent, n.State = r, r.State
	if o.Kind == Commit {
		n.State = hashOf(r.State, o.ID)
	}
	return &n
}

// Holds says whether the line that ends with tip has record r.
func Holds(tip, r *Record) bool {
	for tip != nil && tip.Start > r.Start {
		tip = tip.Parent
	}
	return tip == r
}

// At is the record of tip's line that ends at lsn or, when there is none, the
// last one before.
func At(tip *Record, lsn topology.LSN) *Record {
	for tip != nil && tip.End > lsn {
		tip = tip.Parent
	}
	return tip
}

// after is the record of tip's line that starts at lsn, or nil.
func after(tip *Record, lsn topology.LSN) *Record {
	for tip != nil && tip.Start > lsn {
		tip = tip.Parent
	}
	if tip != nil && tip.Start == lsn {
		return tip
	}
	return nil
}

// Common is the last record that two lines share, or nil.
func Common(a, b *Record) *Record {
	for a != nil && b != nil && a != b {
		if a.Start >= b.Start {
			a = a.Parent
		} else {
			b = b.Parent
		}
	}
	if a == b {
		return a
	}
	return nil
}

// path lists the records after from on the line of tip, which must hold from,
// at most n, oldest first.
func path(from, tip *Record, n int) []*Record {
	var all []*Record
	for r := tip; r != nil && r != from; r = r.Parent {
		all = append(all, r)
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all[:min(n, len(all))]
}

// SameData says whether the line of tip has, up to r's end, exactly the rows of r's line.
func SameData(r, tip *Record) bool {
	o := At(tip, r.End)
	return o != nil && o.End == r.End && o.State == r.State
}

// LastCheckpoint is the last checkpoint of the line that ends at or before lsn.
func LastCheckpoint(tip *Record, lsn topology.LSN) *Record {
	for r := tip; r != nil; r = r.Parent {
		if r.End <= lsn && r.Kind == Checkpoint {
			return r
		}
	}
	return nil
}

// identity is the record as agents tell of it.
func (r *Record) identity() topology.WALRecord {
	return topology.WALRecord{Start: r.Start, End: r.End, Prev: r.prev(), CRC: r.crc}
}

// segmentOf is where the segment of lsn begins.
func segmentOf(lsn topology.LSN) topology.LSN { return lsn - lsn%topology.LSN(segment) }

// hashOf mixes numbers into one (splitmix64).
func hashOf(parts ...uint64) uint64 {
	h := uint64(0x51afd7ed558ccd6d)
	for _, p := range parts {
		h = h ^ p + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
