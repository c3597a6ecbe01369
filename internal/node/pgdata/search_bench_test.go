package pgdata_test

import (
	"runtime/debug"
	"testing"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/test/fakes/fakewal"
)

// BenchmarkCheckpointSearch looks for the last common checkpoint, at the far end of
// the WAL: make bench. "100GB" is 6,400 segments that each end early (a hole is
// left of them), "2GB" is full of records: it gives the speed.
func BenchmarkCheckpointSearch(b *testing.B) {
	for _, c := range []struct {
		name  string
		bytes topology.LSN
		full  bool
	}{{"100GB", 100 << 30, false}, {"2GB", 2 << 30, true}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			w := fakewal.New(dir)
			want := w.Checkpoint()
			for xid := uint32(1000); w.Pos() < c.bytes; xid++ {
				w.Insert(xid, 16384)
				if !c.full {
					w.Switch()
				}
			}
			before := w.Pos()
			w.Insert(1, 16384)
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			debug.FreeOSMemory()
			peak := fakewal.PeakMemory(b)
			b.SetBytes(int64(c.bytes))
			for b.Loop() {
				r, err := pgdata.OpenWALDir(dir, 1, topology.History{TLI: 1}, fakewal.Segment)
				if err != nil {
					b.Fatal(err)
				}
				found, err := r.LastCheckpointBefore(before)
				r.Close()
				if err != nil || found.Record.Start != want {
					b.Fatalf("%s, %v", found.Record.Start, err)
				}
			}
			b.ReportMetric(peak(), "peak-MB")
		})
	}
}
