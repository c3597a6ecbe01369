package pgdata

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// ControlState is the state of a cluster as its control file has it.
type ControlState uint32

// The states, with PostgreSQL's numbers.
const (
	StateStartup ControlState = iota
	StateShutDown
	StateShutDownInRecovery
	StateShuttingDown
	StateInCrashRecovery
	StateInArchiveRecovery
	StateInProduction
)

var controlStates = [...]string{
	"starting up", "shut down", "shut down in recovery", "shutting down",
	"in crash recovery", "in archive recovery", "in production",
}

// String is PostgreSQL's English wording for the state.
func (s ControlState) String() string {
	if int(s) < len(controlStates) {
		return controlStates[s]
	}
	return fmt.Sprintf("unrecognized state %d", uint32(s))
}

// Clean says whether the server was shut down in order (as primary or as
// standby). It does not say that no server runs now.
func (s ControlState) Clean() bool { return s == StateShutDown || s == StateShutDownInRecovery }

// WALLevel is the wal_level the cluster ran with last.
type WALLevel uint32

// The levels of PostgreSQL 13–18.
const (
	WALMinimal WALLevel = iota
	WALReplica
	WALLogical
)

// String is the value as wal_level has it.
func (l WALLevel) String() string {
	switch l {
	case WALMinimal:
		return "minimal"
	case WALReplica:
		return "replica"
	case WALLogical:
		return "logical"
	}
	return fmt.Sprintf("unrecognized wal_level %d", uint32(l))
}

// Control is what global/pg_control says. The settings are those of the last
// start of the server as a primary, or as the primary's WAL told a standby.
type Control struct {
	SystemID       topology.SystemID
	ControlVersion uint32 // PG_CONTROL_VERSION: 1300 (PostgreSQL 13–16), 1700 or 1800
	CatalogVersion uint32
	State          ControlState
	Time           time.Time // last change of the file, whole seconds, UTC

	CheckpointLSN  topology.LSN // where the last checkpoint record starts
	RedoLSN        topology.LSN // from where recovery would start
	Timeline       topology.TimelineID
	PrevTimeline   topology.TimelineID
	FullPageWrites bool
	CheckpointTime time.Time
	// Checkpoint is the control file's copy of the checkpoint record's body.
	Checkpoint        CheckpointBody
	MinRecoveryPoint  topology.LSN // zero unless the cluster is in recovery
	MinRecoveryTLI    topology.TimelineID
	BackupStart       topology.LSN // zero unless a backup is being recovered
	BackupEnd         topology.LSN
	BackupEndRequired bool

	WALLevel             WALLevel
	WALLogHints          bool
	MaxConnections       int
	MaxWorkerProcesses   int
	MaxWALSenders        int
	MaxPreparedXacts     int
	MaxLocksPerXact      int
	TrackCommitTimestamp bool

	BlockSize          uint32 // bytes
	RelSegBlocks       uint32 // blocks in a file of a large relation
	WALBlockSize       uint32 // bytes
	SegmentSize        uint64 // bytes of a WAL segment
	DataChecksums      bool
	DataChecksumMethod uint32 // 0: none
}

// LastTimeline is the newest timeline that the control file names: after a
// promotion the end-of-recovery mark names it before the first checkpoint does.
func (c Control) LastTimeline() topology.TimelineID { return max(c.Timeline, c.MinRecoveryTLI) }

// controlCRC is where the CRC is, in bytes, for each PG_CONTROL_VERSION that PostgreSQL 13 to 18 write
// (src/include/catalog/pg_control.h of each release). The fields that repool reads are at the same places in all of
// them:
// from 17 on the checkpoint's copy has wal_level where there was padding, and 18 has one flag more before the nonce.
var controlCRC = map[uint32]int{
	1300: 288, // 13 to 16
	1700: 288, // 17
	1800: 292, // 18
}

// floatFormat is a constant PostgreSQL stores to recognize the float format.
const floatFormat = 1234567.0

// ReadControl reads global/pg_control of data directory dir. It returns a
// *CorruptError when the file is empty, truncated, of an unknown version, of
// another byte order or fails its CRC. A running server may be rewriting the
// file just now, so a bad image counts only when it is read twice the same.
func ReadControl(dir string) (Control, error) {
	path := filepath.Join(dir, "global", "pg_control")
	var before []byte
	for tries := 20; ; tries-- {
		b, err := os.ReadFile(path)
		if err != nil {
			return Control{}, fmt.Errorf("read control file: %w", err)
		}
		c, err := parseControl(path, b)
		if err == nil || tries == 0 || (before != nil && bytes.Equal(b, before)) {
			return c, err
		}
		before = b
	}
}

// parseControl reads the bytes of a control file; path is for messages.
func parseControl(path string, b []byte) (Control, error) {
	bad := func(field, format string, args ...any) (Control, error) {
		return Control{}, &CorruptError{File: path, Field: field, Msg: fmt.Sprintf(format, args...)}
	}
	if len(b) == 0 {
		return bad("", "the file is empty")
	}
	if len(b) < 16 {
		return bad("", "the file has only %d bytes", len(b))
	}
	version := order.Uint32(b[8:])
	crcAt, known := controlCRC[version]
	if !known {
		if v := bits.ReverseBytes32(version); controlCRC[v] != 0 {
			return bad("version", "version %d in the other byte order: the directory is from another kind of machine", v)
		}
		return bad("version", "unknown control file version %d; repool knows PostgreSQL 13 to 18 (1300, 1700, 1800)", version)
	}
	if len(b) < crcAt+4 {
		return bad("", "the file is truncated: %d bytes, want at least %d", len(b), crcAt+4)
	}
	want, got := order.Uint32(b[crcAt:]), crc32.Checksum(b[:crcAt], castagnoli)
	if want != got {
		return bad("crc", "checksum %08X stored, %08X computed", want, got)
	}
	if align, f := order.Uint32(b[204:]), math.Float64frombits(order.Uint64(b[208:])); align != 8 || f != floatFormat {
		return bad("alignment", "alignment %d and float mark %g: the directory is from another kind of machine", align, f)
	}
	c := controlFields(b, version)
	if !validSegSize(c.SegmentSize) {
		return bad("xlog_seg_size", "%d is not a valid WAL segment size", c.SegmentSize)
	}
	if !validBlockSize(uint64(c.WALBlockSize)) {
		return bad("xlog_blcksz", "%d is not a valid WAL block size", c.WALBlockSize)
	}
	return c, nil
}

// controlFields takes the fields from their places: ControlFileData as a
// 64-bit compiler lays it out, the checkpoint's copy at 40–127.
func controlFields(b []byte, version uint32) Control {
	u32 := func(at int) uint32 { return order.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return order.Uint64(b[at:]) }
	lsn := func(at int) topology.LSN { return topology.LSN(u64(at)) }
	num := func(at int) int { return int(int32(u32(at))) }
	return Control{
		SystemID: topology.SystemID(u64(0)), ControlVersion: version, CatalogVersion: u32(12),
		State: ControlState(u32(16)), Time: time.Unix(int64(u64(24)), 0).UTC(),
		CheckpointLSN: lsn(32), RedoLSN: lsn(40),
		Timeline: topology.TimelineID(u32(48)), PrevTimeline: topology.TimelineID(u32(52)),
		FullPageWrites: b[56] != 0, Checkpoint: CheckpointBody(b[40:112]),
		CheckpointTime:   time.Unix(int64(u64(104)), 0).UTC(),
		MinRecoveryPoint: lsn(136), MinRecoveryTLI: topology.TimelineID(u32(144)),
		BackupStart: lsn(152), BackupEnd: lsn(160), BackupEndRequired: b[168] != 0,
		WALLevel: WALLevel(u32(172)), WALLogHints: b[176] != 0,
		MaxConnections: num(180), MaxWorkerProcesses: num(184), MaxWALSenders: num(188),
		MaxPreparedXacts: num(192), MaxLocksPerXact: num(196), TrackCommitTimestamp: b[200] != 0,
		BlockSize: u32(216), RelSegBlocks: u32(220), WALBlockSize: u32(224), SegmentSize: uint64(u32(228)),
		DataChecksums: u32(252) != 0, DataChecksumMethod: u32(252),
	}
}

// castagnoli is the polynomial of every CRC in the control file and in WAL.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// validSegSize says whether n is a power of two from 1 MiB to 1 GiB.
func validSegSize(n uint64) bool {
	return n >= 1<<20 && n <= 1<<30 && bits.OnesCount64(n) == 1
}

// validBlockSize says whether n is a power of two from 1 to 64 KiB.
func validBlockSize(n uint64) bool {
	return n >= 1<<10 && n <= 1<<16 && bits.OnesCount64(n) == 1
}
