package pgdata

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

const (
	synthSeg   = 1 << 20
	synthBlock = 8192
	synthID    = topology.SystemID(7123456789012345678)
)

// synth writes WAL of any version into memory, as the layouts say, so that
// versions and accidents can be tested that no installed server shows.
type synth struct {
	major int
	tli   topology.TimelineID
	pos   topology.LSN // where the next record goes
	prev  topology.LSN
	bytes map[topology.LSN][]byte // by start of segment
}

// newSynth begins at the third segment, since no WAL begins at zero.
func newSynth(major int) *synth {
	return &synth{major: major, tli: 1, pos: 2 * synthSeg, bytes: map[topology.LSN][]byte{}}
}

// put writes b at lsn.
func (s *synth) put(lsn topology.LSN, b []byte) {
	start := lsn &^ (synthSeg - 1)
	if s.bytes[start] == nil {
		s.bytes[start] = make([]byte, synthSeg)
	}
	copy(s.bytes[start][lsn-start:], b)
}

// page writes the header of the page at s.pos and steps over it.
func (s *synth) page(info uint16, rest int) {
	h := make([]byte, shortPageHeader)
	if s.pos%synthSeg == 0 {
		h = make([]byte, longPageHeader)
		info |= pageLongHeader
		order.PutUint64(h[24:], uint64(synthID))
		order.PutUint32(h[32:], synthSeg)
		order.PutUint32(h[36:], synthBlock)
	}
	for magic, major := range majorOfMagic {
		if major == s.major {
			order.PutUint16(h, magic)
		}
	}
	order.PutUint16(h[2:], info)
	order.PutUint32(h[4:], uint32(s.tli))
	order.PutUint64(h[8:], uint64(s.pos))
	order.PutUint32(h[16:], uint32(rest))
	s.put(s.pos, h)
	s.pos += topology.LSN(len(h))
}

// image is a whole record: header and what follows it, with its checksum.
func (s *synth) image(rmgr RmgrID, info uint8, xid uint32, parts []byte) []byte {
	b := append(make([]byte, recordHeader), parts...)
	order.PutUint32(b, uint32(len(b)))
	order.PutUint32(b[4:], xid)
	order.PutUint64(b[8:], uint64(s.prev))
	b[16], b[17] = info, uint8(rmgr)
	order.PutUint32(b[20:], recordCRC(b))
	return b
}

// mainData makes the parts of a record that has only main data.
func mainData(data []byte) []byte {
	h := order.AppendUint32([]byte{partLong}, uint32(len(data)))
	return append(h, data...)
}

// record writes a record and gives its start.
func (s *synth) record(rmgr RmgrID, info uint8, xid uint32, parts []byte) topology.LSN {
	b := s.image(rmgr, info, xid, parts)
	start := s.write(b, len(b))
	s.prev = start
	return start
}

// write puts the first n bytes of record b into pages, and gives its start.
func (s *synth) write(b []byte, n int) (start topology.LSN) {
	for at := 0; at < n; {
		if s.pos%synthBlock == 0 {
			if at == 0 {
				s.page(0, 0)
			} else {
				s.page(pageFirstIsContinuation, len(b)-at)
			}
		}
		if at == 0 {
			start = s.pos
		}
		room := synthBlock - int(s.pos%synthBlock)
		m := min(room, n-at)
		s.put(s.pos, b[at:at+m])
		s.pos += topology.LSN(m)
		at += m
	}
	s.pos = topology.LSN(align8(uint64(s.pos)))
	return start
}

// noop writes a record of n bytes in all.
func (s *synth) noop(n int) topology.LSN {
	return s.record(RmgrXLOG, 0x20, 0, mainData(make([]byte, n-recordHeader-5)))
}

// fill writes records up to exactly room bytes before the end of the page.
func (s *synth) fill(room int) {
	s.noop(64)
	left := synthBlock - int(s.pos%synthBlock) - room
	s.noop(left)
}

// files stores the segments in a new folder under timeline tli.
func (s *synth) files(t testing.TB, tli topology.TimelineID) string {
	t.Helper()
	dir := t.TempDir()
	s.store(t, dir, tli)
	return dir
}

func (s *synth) store(t testing.TB, dir string, tli topology.TimelineID) {
	t.Helper()
	for _, start := range slices.Sorted(maps.Keys(s.bytes)) {
		name := topology.WALFileName(tli, start, synthSeg)
		if err := os.WriteFile(filepath.Join(dir, name), s.bytes[start], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// open opens a folder of synthetic segments.
func openSynth(t testing.TB, dir string, h topology.History) *WAL {
	t.Helper()
	w, err := OpenWALDir(dir, h.TLI, h, synthSeg)
	if err != nil {
		t.Fatal(err)
	}
	w.Expect(Control{SystemID: synthID, WALBlockSize: synthBlock})
	t.Cleanup(func() { w.Close() })
	return w
}

// wal opens what s has written so far, on timeline 1.
func (s *synth) wal(t testing.TB) *WAL {
	return openSynth(t, s.files(t, 1), topology.History{TLI: 1})
}
