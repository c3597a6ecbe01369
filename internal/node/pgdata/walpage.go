package pgdata

import (
	"fmt"

	"github.com/repool/repool/internal/core/topology"
)

// Sizes of the two page headers: the long one opens each segment.
const (
	shortPageHeader = 24
	longPageHeader  = 40
)

// Flags of a page header (xlp_info).
const (
	pageFirstIsContinuation = 0x0001
	pageLongHeader          = 0x0002
	pageFirstIsOverwrite    = 0x0008
	pageAllFlags            = 0x000F
)

// majorOfMagic is the major version that writes pages with this magic number, XLOG_PAGE_MAGIC in
// src/include/access/xlog_internal.h of each release; zero: none that is known.
var majorOfMagic = map[uint16]int{0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}

// pageHeader is the header of one WAL page.
type pageHeader struct {
	major  int // PostgreSQL's major version, from the magic
	info   uint16
	tli    topology.TimelineID // timeline of the first record on the page
	addr   topology.LSN
	rest   uint32 // bytes of a record begun earlier that are still to come
	size   int    // of the header itself
	system topology.SystemID
	seg    uint64 // system, seg and block only in a long header
	block  uint64
}

// continues says whether the page begins with the rest of an earlier record.
func (h pageHeader) continues() bool { return h.info&pageFirstIsContinuation != 0 }

// firstRecord is the offset of the first record that starts on a page of block
// bytes, and whether there is room for one.
func (h pageHeader) firstRecord(block uint64) (uint64, bool) {
	at := uint64(h.size)
	if h.continues() {
		at += align8(uint64(h.rest))
	}
	return at, at < block
}

// pageRules is what a page at one position must say to belong there.
type pageRules struct {
	addr    topology.LSN
	seg     uint64
	block   uint64
	tli     topology.TimelineID
	system  topology.SystemID // zero: any
	startOf bool              // the first page of a segment
}

// parsePage reads and checks the header of page b. The message is empty when
// the page belongs where it is; otherwise it says what does not fit, which
// past the end of WAL is the normal case (zeros, or an older use of the file).
func parsePage(b []byte, want pageRules) (pageHeader, string) {
	if len(b) < longPageHeader {
		return pageHeader{}, "the page is truncated"
	}
	h := pageHeader{
		info: order.Uint16(b[2:]), tli: topology.TimelineID(order.Uint32(b[4:])),
		addr: topology.LSN(order.Uint64(b[8:])), rest: order.Uint32(b[16:]), size: shortPageHeader,
	}
	magic := order.Uint16(b)
	if h.major = majorOfMagic[magic]; h.major == 0 {
		if magic == 0 {
			return h, "the page is empty"
		}
		return h, fmt.Sprintf("unknown page magic %04X; PostgreSQL 13–18 have D106 to D118", magic)
	}
	if h.info&^pageAllFlags != 0 {
		return h, fmt.Sprintf("unknown page flags %04X", h.info)
	}
	if (h.info&pageLongHeader != 0) != want.startOf {
		return h, "the page header has the wrong length for its place"
	}
	if want.startOf {
		h.size, h.system = longPageHeader, topology.SystemID(order.Uint64(b[24:]))
		h.seg, h.block = uint64(order.Uint32(b[32:])), uint64(order.Uint32(b[36:]))
		if msg := checkLongHeader(h, want); msg != "" {
			return h, msg
		}
	}
	if h.addr != want.addr {
		return h, fmt.Sprintf("the page is from an earlier use of the file, at %s", h.addr)
	}
	if want.tli != 0 && h.tli != want.tli {
		return h, fmt.Sprintf("the page is on timeline %d, the history has %d here", h.tli, want.tli)
	}
	if h.continues() && (h.rest == 0 || h.info&pageFirstIsOverwrite != 0) {
		return h, "the page's continuation is not valid"
	}
	return h, ""
}

// checkLongHeader compares what identifies a segment.
func checkLongHeader(h pageHeader, want pageRules) string {
	switch {
	case want.system != 0 && h.system != want.system:
		return fmt.Sprintf("the segment is from a cluster with system identifier %s, want %s", h.system, want.system)
	case h.seg != want.seg:
		return fmt.Sprintf("the segment says its size is %d bytes, want %d", h.seg, want.seg)
	case h.block != want.block:
		return fmt.Sprintf("the segment says its pages have %d bytes, want %d", h.block, want.block)
	}
	return ""
}

// align8 rounds up to PostgreSQL's maximum alignment, at which records start.
func align8(n uint64) uint64 { return (n + 7) &^ 7 }
