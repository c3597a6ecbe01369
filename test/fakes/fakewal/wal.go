// Package fakewal writes WAL of any amount: segments of PostgreSQL 15 with sound
// pages and records, for tests and benchmarks of what reads them. It holds one
// segment in memory.
//
// The rule for callers: Close writes the last segment; records are lost without it.
//
// Layouts: XLogPageHeaderData and XLogRecord in src/include/access/xlog_internal.h and
// xlogrecord.h of PostgreSQL 15.
package fakewal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// What every segment says of itself.
const (
	System  = topology.SystemID(7123456789012345678)
	Block   = 8192
	Segment = 16 << 20
)

const (
	magic15                 = 0xD110
	longHeader, shortHeader = 40, 24
	recordHeader            = 24
	// Resource managers, and kinds of their records.
	rmgrXLOG, rmgrXact, rmgrHeap = 0, 1, 10
	xlogCheckpoint, xlogSwitch   = 0x10, 0x40
)

var (
	order      = binary.NativeEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Writer writes the WAL of timeline 1 into a folder of segments.
type Writer struct {
	dir  string
	pos  topology.LSN // where the next record goes
	prev topology.LSN
	end  topology.LSN // of the last byte written
	seg  []byte
	at   topology.LSN // start of seg
	err  error        // the first one
}

// New begins at the second segment, since no WAL begins at zero.
func New(dir string) *Writer {
	return &Writer{dir: dir, pos: Segment, end: Segment, at: Segment, seg: make([]byte, Segment)}
}

// Pos is where the next record goes.
func (w *Writer) Pos() topology.LSN { return w.pos }

// Close writes the last segment and returns the first error of all.
func (w *Writer) Close() error {
	w.flush()
	return w.err
}

// Checkpoint writes an online checkpoint whose redo point is the record itself.
func (w *Writer) Checkpoint() topology.LSN {
	body := make([]byte, 88)
	order.PutUint64(body, uint64(w.pos))
	order.PutUint32(body[8:], 1)
	order.PutUint32(body[12:], 1)
	return w.record(rmgrXLOG, xlogCheckpoint, 0, main(body))
}

// Insert writes the insertion of one row into a relation of database 5.
func (w *Writer) Insert(xid, relation uint32) topology.LSN {
	const hasData = 0x20
	parts := []byte{0, hasData}
	parts = order.AppendUint16(parts, 8)
	for _, n := range []uint32{1663, 5, relation, 0} { // tablespace, database, relation, block
		parts = order.AppendUint32(parts, n)
	}
	parts = append(parts, 255, 3)                             // 3 bytes of main data
	parts = append(parts, make([]byte, 8)...)                 // the row
	return w.record(rmgrHeap, 0, xid, append(parts, 1, 0, 0)) // its number, flags
}

// Commit writes the end of a transaction.
func (w *Writer) Commit(xid uint32, at time.Time) topology.LSN {
	us := at.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds()
	return w.record(rmgrXact, 0, xid, main(order.AppendUint64(nil, uint64(us))))
}

// Switch ends the segment: the rest of its file is a hole.
func (w *Writer) Switch() {
	w.record(rmgrXLOG, xlogSwitch, 0, nil)
	w.pos = (w.pos + Segment - 1) &^ (Segment - 1)
}

// main makes the parts of a record that has only main data, of less than 256 bytes.
func main(data []byte) []byte { return append([]byte{255, byte(len(data))}, data...) }

func (w *Writer) record(rmgr, info byte, xid uint32, parts []byte) topology.LSN {
	b := append(make([]byte, recordHeader), parts...)
	order.PutUint32(b, uint32(len(b)))
	order.PutUint32(b[4:], xid)
	order.PutUint64(b[8:], uint64(w.prev))
	b[16], b[17] = info, rmgr
	order.PutUint32(b[20:], crc32.Update(crc32.Checksum(b[recordHeader:], castagnoli), castagnoli, b[:20]))
	start := topology.LSN(0)
	for rest := b; len(rest) > 0; {
		if w.pos%Block == 0 {
			w.page(len(rest), len(rest) < len(b))
		}
		if start == 0 {
			start = w.pos
		}
		n := copy(w.seg[w.pos-w.at:min(w.pos-w.at+Block-w.pos%Block, Segment)], rest)
		rest = rest[n:]
		w.pos += topology.LSN(n)
		w.end = w.pos
	}
	w.pos, w.prev = (w.pos+7)&^7, start
	return start
}

// page writes the header of the page at w.pos, and the segment before if it is full.
func (w *Writer) page(rest int, continued bool) {
	info, size := uint16(0), shortHeader
	if w.pos%Segment == 0 {
		if w.pos != w.at {
			w.flush()
			w.at = w.pos
		}
		info, size = 0x0002, longHeader
	}
	h := w.seg[w.pos-w.at:]
	if continued {
		info |= 0x0001
		order.PutUint32(h[16:], uint32(rest))
	}
	order.PutUint16(h, magic15)
	order.PutUint16(h[2:], info)
	order.PutUint32(h[4:], 1) // timeline
	order.PutUint64(h[8:], uint64(w.pos))
	if size == longHeader {
		order.PutUint64(h[24:], uint64(System))
		order.PutUint32(h[32:], Segment)
		order.PutUint32(h[36:], Block)
	}
	w.pos += topology.LSN(size)
}

// flush writes the segment in memory; what follows the last record is a hole.
func (w *Writer) flush() {
	used := min(w.end-w.at, Segment)
	if w.err != nil || used == 0 {
		return
	}
	f, err := os.Create(filepath.Join(w.dir, topology.WALFileName(1, w.at, Segment)))
	if err == nil {
		_, err = f.Write(w.seg[:used])
		err = errors.Join(err, f.Truncate(Segment), f.Close())
	}
	clear(w.seg[:used])
	w.err = err
}
