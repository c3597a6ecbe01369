package pgdata

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// controlImage makes a control file of that version.
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
	at := controlCRC[order.Uint32(b[8:])]
	order.PutUint32(b[at:], crc32.Checksum(b[:at], castagnoli))
	return b
}

// TestVersionsOfTheControlFile has what offsetof(ControlFileData, crc) says with each release's own header: 13 has 1300
// as
// 14, 15 and 16, and 17 has a version of its own.
func TestVersionsOfTheControlFile(t *testing.T) {
	t.Parallel()
	if want := map[uint32]int{1300: 288, 1700: 288, 1800: 292}; !maps.Equal(controlCRC, want) {
		t.Errorf("%v, want %v", controlCRC, want)
	}
	for version := range controlCRC {
		c, err := parseControl("pg_control", controlImage(version))
		if err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		got := fmt.Sprintln(c.SystemID, c.State, c.State.Clean(), c.CheckpointLSN, c.RedoLSN, c.Timeline,
			c.MinRecoveryPoint, c.MinRecoveryTLI,
			c.LastTimeline(), c.WALLevel, c.WALLogHints, c.MaxConnections, c.SegmentSize, c.DataChecksums)
		want(t, fmt.Sprint("version ", version), got, "7123456789012345678 shut down in recovery true 0/3000060 0/3000028 "+
			"3 0/4000000 4 4 replica true 200 16777216 true\n")
	}
}

func TestBadControlFilesAreNamedForWhatTheyAre(t *testing.T) {
	t.Parallel()
	good := controlImage(1300)
	change := func(f func([]byte)) []byte {
		b := slices.Clone(good)
		f(b)
		return b
	}
	for what, c := range map[string]struct {
		bytes []byte
		err   string
	}{
		"empty":        {nil, "pg_control: the file is empty"},
		"few bytes":    {good[:12], "pg_control: the file has only 12 bytes"},
		"truncated":    {good[:200], "pg_control: the file is truncated: 200 bytes, want at least 292"},
		"truncated 18": {controlImage(1800)[:292], "pg_control: the file is truncated: 292 bytes, want at least 296"},
		"bit flipped": {change(func(b []byte) { b[100] ^= 4 }),
			fmt.Sprintf("pg_control: crc: checksum %08X stored, %08X computed", order.Uint32(good[288:]),
				crc32.Checksum(change(func(b []byte) { b[100] ^= 4 })[:288], castagnoli))},
		"version 9.6": {change(func(b []byte) { order.PutUint32(b[8:], 960) }),
			"pg_control: version: unknown control file version 960; repool knows PostgreSQL 13 to 18 (1300, 1700, 1800)"},
		"other byte order": {change(func(b []byte) { slices.Reverse(b[8:12]) }),
			"pg_control: version: version 1300 in the other byte order: the directory is from another kind of machine"},
		"other alignment": {sealControl(change(func(b []byte) { b[204] = 4 })),
			"pg_control: alignment: alignment 4 and float mark 1.234567e+06: the directory is from another kind of machine"},
		"segment size": {sealControl(change(func(b []byte) { order.PutUint32(b[228:], 12345) })),
			"pg_control: xlog_seg_size: 12345 is not a valid WAL segment size"},
		"block size": {sealControl(change(func(b []byte) { order.PutUint32(b[224:], 100) })),
			"pg_control: xlog_blcksz: 100 is not a valid WAL block size"},
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
	write(controlImage(1300))
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

// TestMagicOfWALPages has XLOG_PAGE_MAGIC of each release.
func TestMagicOfWALPages(t *testing.T) {
	t.Parallel()
	want := map[uint16]int{0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}
	if !maps.Equal(majorOfMagic, want) {
		t.Errorf("%v, want %v", majorOfMagic, want)
	}
}
