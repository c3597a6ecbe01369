package pgdata

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// controlImage makes a control file of version 1300 or 1800.
func controlImage(version uint32) []byte {
	b := make([]byte, 8192)
	order.PutUint64(b, uint64(synthID))
	order.PutUint32(b[8:], version)
	order.PutUint32(b[16:], uint32(StateShutDownInRecovery))
	order.PutUint64(b[32:], 0x3000060)
	order.PutUint64(b[40:], 0x3000028)
	order.PutUint32(b[48:], 3)
	order.PutUint64(b[136:], 0x4000000)
	order.PutUint32(b[144:], 4)
	order.PutUint32(b[172:], uint32(WALReplica))
	b[176] = 1
	order.PutUint32(b[180:], 200)
	order.PutUint32(b[204:], 8)
	order.PutUint64(b[208:], math.Float64bits(floatFormat))
	order.PutUint32(b[216:], 8192)
	order.PutUint32(b[224:], 8192)
	order.PutUint32(b[228:], 16<<20)
	order.PutUint32(b[252:], 1)
	return sealControl(b)
}

// sealControl sets the checksum right.
func sealControl(b []byte) []byte {
	at := 288
	if order.Uint32(b[8:]) == controlV18 {
		at = 292
	}
	order.PutUint32(b[at:], crc32.Checksum(b[:at], castagnoli))
	return b
}

func TestBothLayoutsOfTheControlFile(t *testing.T) {
	t.Parallel()
	for _, version := range []uint32{controlV13, controlV18} {
		c, err := parseControl("pg_control", controlImage(version))
		if err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		got := fmt.Sprintln(c.SystemID, c.State, c.State.Clean(), c.CheckpointLSN, c.RedoLSN, c.Timeline, c.MinRecoveryPoint, c.MinRecoveryTLI,
			c.LastTimeline(), c.WALLevel, c.WALLogHints, c.MaxConnections, c.SegmentSize, c.DataChecksums)
		want(t, fmt.Sprint("version ", version), got, "7123456789012345678 shut down in recovery true 0/3000060 0/3000028 3 0/4000000 4 4 replica true 200 16777216 true\n")
	}
}

func TestBadControlFilesAreNamedForWhatTheyAre(t *testing.T) {
	t.Parallel()
	good := controlImage(controlV13)
	change := func(f func([]byte)) []byte {
		b := slices.Clone(good)
		f(b)
		return b
	}
	for what, c := range map[string]struct {
		bytes []byte
		err   string
	}{
		"empty":            {nil, "pg_control: the file is empty"},
		"few bytes":        {good[:12], "pg_control: the file has only 12 bytes"},
		"truncated":        {good[:200], "pg_control: the file is truncated: 200 bytes, want at least 292"},
		"truncated 18":     {controlImage(controlV18)[:292], "pg_control: the file is truncated: 292 bytes, want at least 296"},
		"bit flipped":      {change(func(b []byte) { b[100] ^= 4 }), fmt.Sprintf("pg_control: crc: checksum %08X stored, %08X computed", order.Uint32(good[288:]), crc32.Checksum(change(func(b []byte) { b[100] ^= 4 })[:288], castagnoli))},
		"version 9.6":      {change(func(b []byte) { order.PutUint32(b[8:], 960) }), "pg_control: version: unknown control file version 960; PostgreSQL 13–18 have 1300 or 1800"},
		"other byte order": {change(func(b []byte) { slices.Reverse(b[8:12]) }), "pg_control: version: version 1300 in the other byte order: the directory is from another kind of machine"},
		"other alignment":  {sealControl(change(func(b []byte) { b[204] = 4 })), "pg_control: alignment: alignment 4 and float mark 1.234567e+06: the directory is from another kind of machine"},
		"segment size":     {sealControl(change(func(b []byte) { order.PutUint32(b[228:], 12345) })), "pg_control: xlog_seg_size: 12345 is no size of a WAL segment"},
		"block size":       {sealControl(change(func(b []byte) { order.PutUint32(b[224:], 100) })), "pg_control: xlog_blcksz: 100 is no size of a WAL block"},
	} {
		_, err := parseControl("pg_control", c.bytes)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%s: got error %v, want a CorruptError", what, err)
			continue
		}
		want(t, what, err, c.err)
	}
}

func TestAControlFileIsReadAgainBeforeItCountsAsBad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ReadControl(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: got error %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "global"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		if err := os.WriteFile(filepath.Join(dir, "global", "pg_control"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var corrupt *CorruptError
	write(nil)
	if _, err := ReadControl(dir); !errors.As(err, &corrupt) {
		t.Errorf("empty file: got error %v", err)
	}
	write(controlImage(controlV13))
	if c, err := ReadControl(dir); err != nil || c.Timeline != 3 {
		t.Errorf("good file: got %+v, %v", c, err)
	}
}

func TestUnknownStatesAndLevelsPrintTheirNumber(t *testing.T) {
	t.Parallel()
	want(t, "state", ControlState(9), "unrecognized state 9")
	want(t, "level", WALLevel(9), "unrecognized wal_level 9")
	want(t, "levels", fmt.Sprint(WALMinimal, WALLogical), "minimal logical")
	want(t, "resource manager", RmgrID(130), "custom130")
}
