package pgdata

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// The corpora in testdata/fuzz begin with captures from a real server.

func FuzzReadControl(f *testing.F) {
	f.Add(controlImage(1300)[:292])
	f.Add(controlImage(1800)[:296])
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseControl("pg_control", b)
		var corrupt *CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			t.Errorf("error of another kind: %v", err)
		}
		if err == nil && !validSegSize(c.SegmentSize) {
			t.Errorf("segment size %d was let through", c.SegmentSize)
		}
	})
}

func FuzzHistory(f *testing.F) {
	f.Add(uint32(2), []byte("1\t0/3000000\tno recovery target specified\n"))
	f.Fuzz(func(t *testing.T, tli uint32, b []byte) {
		h, err := parseHistoryFile("h", topology.TimelineID(tli), b)
		if err != nil {
			return
		}
		if h.TLI != topology.TimelineID(tli) || tli > 1 && !h.Contains(h.Ancestors[len(h.Ancestors)-1].TLI) {
			t.Errorf("history %s of timeline %d", h.Text(), tli)
		}
	})
}

func FuzzPostmasterPID(f *testing.F) {
	f.Add([]byte("4711\n/data\n1700000000\n5433\n/run\n*\n  1  2\nready   \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePostmasterPID("postmaster.pid", b); err == nil && (p.PID <= 0 || p.Port < 0 || p.Port > 65535) {
			t.Errorf("got %+v", p)
		}
	})
}

// FuzzWALPage reads bytes as a segment: whatever they are, walking it forward
// and back ends, and every record is where it says.
func FuzzWALPage(f *testing.F) {
	s := newSynth(15)
	for range 20 {
		s.noop(1000)
	}
	s.record(RmgrXLOG, xlogCheckpointShutdown, 0, mainData(make([]byte, 88)))
	f.Add(s.bytes[2*synthSeg][:4*synthBlock])
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		start := topology.LSN(2 * synthSeg)
		if len(b) >= 16 { // where the first page says it belongs
			start = max(start, topology.LSN(order.Uint64(b[8:])&(1<<40-1))&^(synthSeg-1))
		}
		name := filepath.Join(dir, topology.WALFileName(1, start, synthSeg))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := OpenWALDir(dir, 1, topology.History{}, synthSeg)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		defer os.Remove(name)
		end, err := w.Walk(start, func(r Record) error {
			if r.Start >= r.End || r.Prev >= r.Start {
				t.Errorf("record %+v", r)
			}
			_, _, _ = r.Commit()
			_, _, _ = r.RowChange()
			return nil
		})
		if err != nil {
			return
		}
		before, err := w.RecordBefore(end.LSN)
		if err != nil || before.End > end.LSN {
			t.Errorf("before the end at %s: got %s–%s, %v", end.LSN, before.Start, before.End, err)
		}
		_, _ = w.LastCheckpointBefore(end.LSN)
	})
}

func FuzzRecord(f *testing.F) {
	s := newSynth(18)
	for _, major := range []int{13, 14, 15, 18} {
		f.Add(uint8(major), s.image(RmgrXact, xactCommitPrepared|xactHasInfo, 7, mainData(commitBody(major))))
		f.Add(uint8(major), s.image(RmgrXLOG, 0xB0, 7, blockWithImage(major)))
	}
	f.Fuzz(func(t *testing.T, major uint8, b []byte) {
		if len(b) < recordHeader {
			return
		}
		r, _ := parseRecordHeader(b, 1<<40, nil)
		r.raw, r.major = b, int(major)
		if d, err := r.Decode(); err == nil {
			n := len(d.Main)
			for _, block := range d.Blocks {
				n += len(block.Data)
			}
			if n > len(b) {
				t.Errorf("%d bytes taken out of %d", n, len(b))
			}
		}
		_, _, _ = r.Commit()
		_, _, _ = r.RowChange()
		_, _ = parseCheckpoint(r)
	})
}

func FuzzConf(f *testing.F) {
	f.Add("port = 5433\nprimary_conninfo = 'host=''x'''\n# c\ninclude 'a'\n", "primary_conninfo", `it's \`)
	f.Fuzz(func(t *testing.T, text, name, value string) {
		_, err := ParseConf(text)
		out := SetConf(text, map[string]string{name: value}, nil)
		c, err2 := ParseConf(out)
		if n, _, ok, lineErr := parseConfLine(name + " = 1"); err != nil || lineErr != nil || !ok ||
			n != lowerASCII(name) || isInclude(n) {
			return
		}
		if err2 != nil {
			t.Fatalf("SetConf of %q made %q: %v", text, out, err2)
		}
		if got, _ := c.Get(name); got != value {
			t.Errorf("got %q, want %q, from %q", got, value, out)
		}
		if again := SetConf(out, map[string]string{name: value}, nil); again != out {
			t.Errorf("not the same the second time: %q, then %q", out, again)
		}
	})
}
