package pgdata

import (
	"fmt"
	"hash/crc32"

	"github.com/repool/repool/internal/core/topology"
)

// RmgrID is the resource manager of a WAL record: the part of PostgreSQL that
// wrote it and can replay it.
type RmgrID uint8

// The resource managers this package looks into.
const (
	RmgrXLOG  RmgrID = 0
	RmgrXact  RmgrID = 1
	RmgrSMgr  RmgrID = 2
	RmgrHeap2 RmgrID = 9
	RmgrHeap  RmgrID = 10
)

// rmgrNames is in the order of rmgrlist.h, the same in PostgreSQL 13–18.
var rmgrNames = [...]string{
	"XLOG", "Transaction", "Storage", "CLOG", "Database", "Tablespace", "MultiXact", "RelMap",
	"Standby", "Heap2", "Heap", "Btree", "Hash", "Gin", "Gist", "Sequence", "SPGist", "BRIN",
	"CommitTs", "ReplicationOrigin", "Generic", "LogicalMessage",
}

// firstCustomRmgr is where ids of extensions begin (since PostgreSQL 15).
const firstCustomRmgr = 128

// String is the name pg_waldump prints.
func (r RmgrID) String() string {
	if int(r) < len(rmgrNames) {
		return rmgrNames[r]
	}
	return fmt.Sprintf("custom%03d", uint8(r))
}

func (r RmgrID) valid() bool { return int(r) < len(rmgrNames) || r >= firstCustomRmgr }

// Record kinds of resource manager XLOG, by the high half of Info.
const (
	xlogCheckpointShutdown = 0x00
	xlogCheckpointOnline   = 0x10
	xlogSwitch             = 0x40
	xlogEndOfRecovery      = 0x90
)

// recordHeader is the size of a record's fixed part.
const recordHeader = 24

// Record is one valid WAL record.
type Record struct {
	// Start is where the record's first byte is, past any page header; Prev
	// is the Start of the record before it.
	Start topology.LSN
	// End is PostgreSQL's end of the record: aligned to 8, at a page boundary
	// not moved past the header that follows, and for a segment switch the end
	// of the segment. A switch point in a history file is such an End.
	End  topology.LSN
	Prev topology.LSN
	// Timeline is the one the record was written on, by the line's history.
	Timeline topology.TimelineID
	CRC      uint32
	Rmgr     RmgrID
	Info     uint8
	XID      uint32 // zero: outside any transaction
	Len      uint32 // total length, header and page images included

	file  string // segment it was read from, for messages
	major int
	raw   []byte
}

// Same says whether both are one and the same record by position and content.
func (r Record) Same(o Record) bool {
	return r.Start == o.Start && r.End == o.End && r.Prev == o.Prev && r.CRC == o.CRC &&
		r.Rmgr == o.Rmgr && r.Info == o.Info && r.XID == o.XID && r.Len == o.Len
}

// WALRecord is the record's identity for a comparison between nodes.
func (r Record) WALRecord() topology.WALRecord {
	return topology.WALRecord{Start: r.Start, End: r.End, Prev: r.Prev, CRC: r.CRC, Desc: r.Desc()}
}

var recordKinds = map[RmgrID]map[uint8]string{
	RmgrXLOG: {0x00: "CHECKPOINT_SHUTDOWN", 0x10: "CHECKPOINT_ONLINE", 0x20: "NOOP", 0x30: "NEXTOID", 0x40: "SWITCH",
		0x50: "BACKUP_END", 0x60: "PARAMETER_CHANGE", 0x70: "RESTORE_POINT", 0x80: "FPW_CHANGE", 0x90: "END_OF_RECOVERY",
		0xA0: "FPI_FOR_HINT", 0xB0: "FPI", 0xD0: "OVERWRITE_CONTRECORD", 0xE0: "CHECKPOINT_REDO"},
	RmgrXact: {0x00: "COMMIT", 0x10: "PREPARE", 0x20: "ABORT", 0x30: "COMMIT_PREPARED", 0x40: "ABORT_PREPARED",
		0x50: "ASSIGNMENT", 0x60: "INVALIDATION"},
	RmgrHeap: {0x00: "INSERT", 0x10: "DELETE", 0x20: "UPDATE", 0x30: "TRUNCATE", 0x40: "HOT_UPDATE",
		0x50: "HEAP_CONFIRM", 0x60: "LOCK", 0x70: "INPLACE"},
	RmgrHeap2: {0x50: "MULTI_INSERT"},
}

// Desc names the record for a person, such as "Transaction COMMIT".
func (r Record) Desc() string {
	op := r.Info & 0xF0
	if r.Rmgr != RmgrXLOG {
		op &= 0x70 // the top bit is a flag there
	}
	if k, ok := recordKinds[r.Rmgr][op]; ok {
		return r.Rmgr.String() + " " + k
	}
	return fmt.Sprintf("%s %02X", r.Rmgr, r.Info)
}

// isSwitch says whether the rest of the segment after the record is empty.
func (r Record) isSwitch() bool { return r.Rmgr == RmgrXLOG && r.Info&0xF0 == xlogSwitch }

// IsCheckpoint says whether the record is a checkpoint of a running or of a
// stopping server.
func (r Record) IsCheckpoint() bool {
	op := r.Info & 0xF0
	return r.Rmgr == RmgrXLOG && (op == xlogCheckpointShutdown || op == xlogCheckpointOnline)
}

// parseRecordHeader reads the fixed part of the record that starts at start;
// b has at least its 24 bytes. prev is where the record before it starts, or
// nil when that is not known. The message is empty when the header is sound.
func parseRecordHeader(b []byte, start topology.LSN, prev *topology.LSN) (Record, string) {
	r := Record{
		Start: start, Len: order.Uint32(b), XID: order.Uint32(b[4:]), Prev: topology.LSN(order.Uint64(b[8:])),
		Info: b[16], Rmgr: RmgrID(b[17]), CRC: order.Uint32(b[20:]),
	}
	switch {
	case r.Len < recordHeader:
		return r, fmt.Sprintf("record length %d is too short", r.Len)
	case !r.Rmgr.valid():
		return r, fmt.Sprintf("unknown resource manager %d", r.Rmgr)
	case prev != nil && r.Prev != *prev:
		return r, fmt.Sprintf("the record links back to %s, want %s", r.Prev, *prev)
	case r.Prev >= start:
		return r, fmt.Sprintf("the record links forward to %s", r.Prev)
	}
	return r, ""
}

// recordCRC computes the checksum of a whole record: its body, then its header
// up to the checksum.
func recordCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[recordHeader:], castagnoli), castagnoli, b[:20])
}
