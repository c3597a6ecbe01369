package vault

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/test/fakes/fakewal"
)

// reporting makes a keeper of an entry whose WAL, in dir, holds so many lost commits.
func reporting(t testing.TB, dir string, commits uint32) *keeper {
	t.Helper()
	k := &keeper{tmp: dir, history: topology.History{TLI: 1},
		control: pgdata.Control{SystemID: fakewal.System, SegmentSize: fakewal.Segment, WALBlockSize: fakewal.Block}}
	k.Vault = dir
	if err := os.Mkdir(filepath.Join(dir, walName), 0o700); err != nil {
		t.Fatal(err)
	}
	w := fakewal.New(filepath.Join(dir, walName))
	k.entry.From = w.Checkpoint()
	k.Diverged = w.Pos()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for xid := range commits {
		w.Insert(1000+xid, 16384+xid%20)
		w.Commit(1000+xid, at.Add(time.Duration(xid)*time.Millisecond))
	}
	k.End = w.Pos()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestReportIsWhole(t *testing.T) {
	t.Parallel()
	for _, commits := range []uint32{0, 1, 70_000} {
		k := reporting(t, t.TempDir(), commits)
		tail, err := k.report(t.Context())
		if err != nil || !tail.Complete || tail.Totals.Commits != int(commits) {
			t.Fatalf("%d commits: %+v, %v", commits, tail, err)
		}
		b, err := os.ReadFile(filepath.Join(k.tmp, reportName))
		if err != nil {
			t.Fatal(err)
		}
		var rep Report
		if err := json.Unmarshal(b, &rep); err != nil {
			t.Fatalf("%d commits: %v", commits, err)
		}
		if rep.Commits == nil || len(rep.Commits) != int(commits) || rep.Totals.Inserts != int(commits) ||
			!rep.Complete || rep.Diverged != k.Diverged || rep.End != k.End ||
			commits > 0 && rep.RowsFrom != k.entry.From {
			t.Errorf("%d commits: %d listed, %+v", commits, len(rep.Commits), rep.ReportTail)
		}
		for i, c := range rep.Commits {
			if c.XID != uint32(1000+i) || len(c.Relations) != 1 {
				t.Fatalf("commit %d: %+v", i, c)
			}
		}
	}
}

// TestReportHoldsNoCommits: what is held in memory does not grow with the commits.
// Not parallel, so that the memory is its own.
func TestReportHoldsNoCommits(t *testing.T) {
	const commits = 100_000
	k := reporting(t, t.TempDir(), commits)
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, after, asked := live(), uint64(0), 0
	k.Name = func(pgdata.RelFile) string {
		if asked++; asked == commits {
			after = live()
		}
		return ""
	}
	if _, err := k.report(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after == 0 || after > before+8<<20 {
		t.Errorf("%d bytes are held after %d commits, %d before", after, commits, before)
	}
}

// TestReportThatFindsNoRoom: the entry is not made, and nothing is left of it.
func TestReportThatFindsNoRoom(t *testing.T) {
	t.Parallel()
	k := reporting(t, t.TempDir(), spareEvery)
	k.Headroom = 1 << 62
	if _, err := k.report(t.Context()); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got error %v", err)
	}
}

func TestReportTooLongToBeSent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "e", reportName), "{}")
	path := filepath.Join(dir, "e", reportName)
	if err := os.Truncate(path, maxReport+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadReport(dir, "e"); !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v", err)
	}
}

// BenchmarkReport lists ten million lost commits: make bench.
func BenchmarkReport(b *testing.B) {
	const commits = 10_000_000
	k := reporting(b, b.TempDir(), commits)
	debug.FreeOSMemory()
	peak := fakewal.PeakMemory(b)
	for b.Loop() {
		if err := os.RemoveAll(filepath.Join(k.tmp, reportName)); err != nil {
			b.Fatal(err)
		}
		if tail, err := k.report(b.Context()); err != nil || tail.Totals.Commits != commits {
			b.Fatal(tail, err)
		}
	}
	b.ReportMetric(peak(), "peak-MB")
}
