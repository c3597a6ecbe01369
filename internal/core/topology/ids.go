package topology

import (
	"fmt"
	"strconv"
	"strings"
)

// NodeID is the number of a backend slot in pgpool.conf: backend_hostname0 is
// node 0. NoNode stands for "none".
type NodeID int

// NoNode is "no node": Pgpool-II prints it as -1 where it knows no primary.
const NoNode NodeID = -1

// String prints the decimal number, or "none".
func (n NodeID) String() string {
	if n < 0 {
		return "none"
	}
	return strconv.Itoa(int(n))
}

// SystemID is PostgreSQL's system identifier: the id of the initdb lineage a
// data directory descends from. Zero means unknown.
type SystemID uint64

// String prints the identifier as PostgreSQL does, in decimal.
func (s SystemID) String() string { return strconv.FormatUint(uint64(s), 10) }

// TimelineID is a PostgreSQL timeline number. Zero means unknown; the first
// timeline of a cluster is 1. Two equal numbers do not prove one history:
// two standbys promoted apart can both be on timeline 2.
type TimelineID uint32

// String prints the number in decimal.
func (t TimelineID) String() string { return strconv.FormatUint(uint64(t), 10) }

// LSN is a position in the write-ahead log, in bytes from the start of the
// lineage. Zero is PostgreSQL's InvalidXLogRecPtr: "no position".
type LSN uint64

// ParseLSN reads the text form "16/B374D848".
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if !ok || hi == "" || lo == "" || len(hi) > 8 || len(lo) > 8 {
		return 0, fmt.Errorf("parse LSN %q: want two hexadecimal numbers with a slash, such as 16/B374D848", s)
	}
	h, err1 := strconv.ParseUint(hi, 16, 32)
	l, err2 := strconv.ParseUint(lo, 16, 32)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("parse LSN %q: want two hexadecimal numbers with a slash, such as 16/B374D848", s)
	}
	return LSN(h<<32 | l), nil
}

// String prints the position as PostgreSQL does, such as "16/B374D848".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// Minus gives the distance l-o in bytes, and 0 where l is not past o.
func (l LSN) Minus(o LSN) uint64 {
	if l <= o {
		return 0
	}
	return uint64(l - o)
}

// MarshalText and UnmarshalText give an LSN its usual text form in JSON.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := ParseLSN(string(b))
	if err != nil {
		return err
	}
	*l = v
	return nil
}

// WALFileName is the name of the segment that contains lsn on timeline tli, for
// segments of segSize bytes (16 MiB unless initdb was told otherwise).
func WALFileName(tli TimelineID, lsn LSN, segSize uint64) string {
	seg := uint64(lsn) / segSize
	per := uint64(0x100000000) / segSize
	return fmt.Sprintf("%08X%08X%08X", uint32(tli), uint32(seg/per), uint32(seg%per))
}

// ParseWALFileName is the reverse of WALFileName: the timeline, and the LSN at
// which the segment starts. ok is false for any other kind of file name.
func ParseWALFileName(name string, segSize uint64) (tli TimelineID, start LSN, ok bool) {
	if len(name) != 24 || segSize == 0 {
		return 0, 0, false
	}
	var p [3]uint64
	for i := range p {
		v, err := strconv.ParseUint(name[i*8:i*8+8], 16, 32)
		if err != nil || strings.ToUpper(name) != name {
			return 0, 0, false
		}
		p[i] = v
	}
	per := uint64(0x100000000) / segSize
	if p[2] >= per {
		return 0, 0, false
	}
	return TimelineID(p[0]), LSN((p[1]*per + p[2]) * segSize), true
}

// HistoryFileName is the name of the history file of timeline tli.
func HistoryFileName(tli TimelineID) string { return fmt.Sprintf("%08X.history", uint32(tli)) }
