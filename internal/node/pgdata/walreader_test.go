package pgdata

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// walk collects the starts of all records from the first segment on.
func walk(t testing.TB, w *WAL) ([]topology.LSN, WALEnd) {
	t.Helper()
	var starts []topology.LSN
	end, err := w.Walk(2*synthSeg, func(r Record) error {
		starts = append(starts, r.Start)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return starts, end
}

func TestRecordsAtPageBoundaries(t *testing.T) {
	t.Parallel()
	for what, room := range map[string]int{
		"the page is filled exactly": 0, "eight bytes are left, the header is split": 8, "sixteen bytes are left": 16,
		"the header just fits": 24,
	} {
		s := newSynth(15)
		s.fill(room)
		before, end := s.prev, s.pos
		next := s.noop(100)
		s.noop(48)
		w := s.wal(t)
		r, err := w.RecordAt(before)
		if err != nil || r.End != end {
			t.Errorf("%s: record at %s ends at %s (%v), want %s", what, before, r.End, err, end)
		}
		n, err := w.Next(r)
		if err != nil || n.Start != next {
			t.Errorf("%s: next record at %s (%v), want %s", what, n.Start, err, next)
		}
		// Both spellings of the position give the record before and after it.
		for _, lsn := range []topology.LSN{end, next} {
			look, err := w.LookAt(lsn)
			if err != nil || look.Place != PlaceRecord || look.Before.Start != before || look.Own.Start != next {
				t.Errorf("%s: at %s got %s before %s own %s (%v)", what, lsn, look.Place, look.Before.Start, look.Own.Start, err)
			}
		}
		got, _, err := w.RecordEnding(end)
		if err != nil || got.Start != before {
			t.Errorf("%s: record ending at %s: got %s, %v", what, end, got.Start, err)
		}
	}
}

func TestAPositionWithoutARecordOfItsOwnIsRefused(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	first := s.noop(20000)
	w := s.wal(t)
	for _, lsn := range []topology.LSN{first + 1, first + 8, first - 8, first - 40 + synthBlock,
		first - 40 + synthBlock + 24, s.pos} {
		if _, err := w.RecordAt(lsn); !endOfWAL(err) || errors.Is(err, ErrNoSegment) {
			t.Errorf("record at %s: got error %v, want a WALError", lsn, err)
		}
	}
	for _, lsn := range []topology.LSN{synthSeg, 9 * synthSeg} {
		var we *WALError
		if _, err := w.EndOfWAL(lsn); !errors.Is(err, ErrNoSegment) || !errors.As(err, &we) || we.File == "" {
			t.Errorf("end of WAL from %s: got error %v, want ErrNoSegment with a file", lsn, err)
		}
	}
	if _, err := w.RecordBefore(first); !errors.Is(err, ErrNoSegment) {
		t.Errorf("before the first record: got error %v, want ErrNoSegment", err)
	}
	if _, err := w.LastCheckpointBefore(s.pos); err == nil {
		t.Error("a checkpoint was found where there is none")
	}
}

func TestALongRecordHidesTheStartOfPagesAndSegments(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	s.noop(64)
	long := s.noop(2*synthSeg + 5000)
	after := s.noop(64)
	w := s.wal(t)
	r, err := w.FirstRecordAfter(4 * synthSeg)
	if err != nil || r.Start != after {
		t.Errorf("first record after a page inside the long one: got %s (%v), want %s", r.Start, err, after)
	}
	if r, err = w.FirstRecordAfter(3 * synthSeg); err == nil {
		t.Errorf("a record was found at %s in a segment that the long one fills", r.Start)
	}
	b, err := w.RecordBefore(after)
	if err != nil || b.Start != long {
		t.Errorf("record before %s: got %s (%v), want %s", after, b.Start, err, long)
	}
}

func TestASegmentSwitchIsSteppedOver(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	s.noop(64)
	sw := s.record(RmgrXLOG, xlogSwitch, 0, nil)
	s.pos = 3 * synthSeg
	next := s.noop(64)
	w := s.wal(t)
	r, err := w.RecordAt(sw)
	if err != nil || r.End != 3*synthSeg {
		t.Errorf("end of the switch: got %s, %v", r.End, err)
	}
	look, err := w.LookAt(3 * synthSeg)
	if err != nil || look.Before.Start != sw || look.Own.Start != next {
		t.Errorf("at the segment after the switch: got %+v, %v", look, err)
	}
}

func TestARecordAbandonedInACrashIsForgotten(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	s.fill(1000)
	before := s.prev
	broken := s.image(RmgrXLOG, 0x20, 0, mainData(make([]byte, 5000)))
	s.write(broken, 1000)
	s.page(pageFirstIsOverwrite, 0)
	over := s.record(RmgrXLOG, 0xD0, 0, mainData(make([]byte, 16)))
	s.noop(64)
	w := s.wal(t)
	starts, end := walk(t, w)
	want(t, "records", len(starts), 4)
	want(t, "end", end.LSN, s.pos)
	r, err := w.RecordBefore(over)
	if err != nil || r.Start != before {
		t.Errorf("before the mark: got %s (%v), want %s", r.Start, err, before)
	}
}

func TestRemainsOfAnEarlierUseOfAFileAreNoRecords(t *testing.T) {
	t.Parallel()
	old := newSynth(15)
	for range 30 {
		old.noop(1000)
	}
	s := newSynth(15)
	s.pos, s.prev = 5*synthSeg, 4*synthSeg+80
	s.noop(1000)
	last := s.noop(64)
	// The file was recycled: new bytes over the first page, old ones behind.
	recycled := old.bytes[2*synthSeg]
	copy(recycled, s.bytes[5*synthSeg][:synthBlock])
	s.bytes[5*synthSeg] = recycled
	s.bytes[6*synthSeg] = old.bytes[2*synthSeg][:0:0]
	w := s.wal(t)
	end, err := w.EndOfWAL(5 * synthSeg)
	if err != nil || end.Last.Start != last || end.Beyond != 0 {
		t.Errorf("end of WAL: got %+v, %v", end, err)
	}
	look, err := w.LookAt(end.LSN)
	if err != nil || look.Diverged() {
		t.Errorf("at the end: got %s, %v", look.Place, err)
	}
	if look, err = w.LookAt(6*synthSeg + 5000); err != nil || look.Place != PlaceShort || look.Before.Start != last {
		t.Errorf("past the end: got %s before %s, %v", look.Place, look.Before.Start, err)
	}
}

func TestAGapBeforeValidWALIsNotTakenForTheEnd(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	for s.pos < 5*synthSeg+100 {
		s.noop(4000)
	}
	dir := s.files(t, 1)
	if err := os.Remove(filepath.Join(dir, topology.WALFileName(1, 3*synthSeg, synthSeg))); err != nil {
		t.Fatal(err)
	}
	w := openSynth(t, dir, topology.History{TLI: 1})
	end, err := w.EndOfWAL(2 * synthSeg)
	if err != nil || end.Beyond != 4*synthSeg || !errors.Is(end.Reason, ErrNoSegment) {
		t.Errorf("end before a missing segment: got %s, beyond %s, reason %v, error %v", end.LSN, end.Beyond, end.Reason, err)
	}
	for _, lsn := range []topology.LSN{3*synthSeg + 5000, end.LSN} {
		if look, err := w.LookAt(lsn); !errors.Is(err, ErrGap) {
			t.Errorf("at %s, before valid WAL: got %s, %v; want ErrGap", lsn, look.Place, err)
		}
	}
	if _, err := w.LastCheckpointBefore(3*synthSeg + 5000); !errors.Is(err, ErrGap) {
		t.Errorf("checkpoint before the gap: got error %v, want ErrGap", err)
	}
	if oldest, err := w.OldestSegment(s.pos); err != nil || oldest != 4*synthSeg {
		t.Errorf("oldest segment without a gap: got %s, %v", oldest, err)
	}
}

// Segments are read from the newest timeline's file of a line, and pages of
// another line in it do not count.
func TestTheNewestTimelinesFileCountsAndOnlyItsLine(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	for range 40 {
		s.noop(1000)
	}
	shared, prev := s.pos, s.prev
	one := &synth{major: 15, tli: 1, pos: shared, prev: prev,
		bytes: map[topology.LSN][]byte{2 * synthSeg: append([]byte(nil), s.bytes[2*synthSeg]...)}}
	s.tli = 2
	for range 20 {
		s.record(RmgrXLOG, 0x20, 0, mainData([]byte("line two")))
		one.record(RmgrXLOG, 0x20, 0, mainData([]byte("line one")))
	}
	two := topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: shared}}}
	dir := t.TempDir()
	s.store(t, dir, 2)
	one.store(t, dir, 1)
	for _, c := range []struct {
		h    topology.History
		text string
	}{{topology.History{TLI: 1}, "line one"}, {two, "line two"}} {
		w := openSynth(t, dir, c.h)
		look, err := w.LookAt(shared)
		if err != nil || look.Place != PlaceRecord || look.Own.Timeline != c.h.TLI {
			t.Fatalf("line of timeline %d: got %+v, %v", c.h.TLI, look, err)
		}
		d, err := look.Own.Decode()
		if err != nil || string(d.Main) != c.text {
			t.Errorf("line of timeline %d: got record %q, %v", c.h.TLI, d.Main, err)
		}
	}
	// A history that left timeline 1 earlier does not take these pages for its own.
	early := topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 2*synthSeg + synthBlock}}}
	w := openSynth(t, dir, early)
	_, end := walk(t, w)
	if end.LSN > 2*synthSeg+2*synthBlock {
		t.Errorf("pages of timeline 1 past its end were read, up to %s", end.LSN)
	}
}

func TestSegmentsOfAnotherClusterAreRejected(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	s.noop(64)
	dir := s.files(t, 1)
	w := openSynth(t, dir, topology.History{TLI: 1})
	w.Expect(Control{SystemID: synthID + 1, WALBlockSize: synthBlock})
	if _, err := w.EndOfWAL(2 * synthSeg); err == nil || !endOfWAL(err) {
		t.Errorf("other system identifier: got error %v", err)
	}
	if _, err := OpenWALDir(dir, 1, topology.History{TLI: 2}, synthSeg); err == nil {
		t.Error("a history of another timeline was taken")
	}
	if _, err := OpenWALDir(dir, 1, topology.History{}, 12345); err == nil {
		t.Error("a segment size of 12345 was taken")
	}
}

// TestASearchThatWasStoppedGoesOn: what has been read is not read again.
func TestASearchThatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	s.record(RmgrXLOG, xlogCheckpointOnline, 0, mainData(make([]byte, 88)))
	for s.pos < 10*synthSeg {
		s.noop(5000)
	}
	w := s.wal(t)
	var passed []topology.LSN
	ctx, cancel := context.WithCancel(t.Context())
	search := CheckpointSearch{Before: s.pos, Passed: func(at topology.LSN) {
		if passed = append(passed, at); len(passed) == 3 {
			cancel()
		}
	}}
	w.StopWith(ctx)
	if _, err := search.Run(w); !errors.Is(err, context.Canceled) || len(passed) != 3 {
		t.Fatalf("got error %v after %d segments, want the end of the context after 3", err, len(passed))
	}
	w.StopWith(t.Context())
	found, err := search.Run(w)
	if err != nil || found.Record.Start.Minus(2*synthSeg) > longPageHeader {
		t.Fatalf("got %s (%v)", found.Record.Start, err)
	}
	falling := func(a, b topology.LSN) int { return cmp.Compare(b, a) }
	if !slices.IsSortedFunc(passed, falling) || len(passed) != 7 {
		t.Errorf("segments read: %s", passed)
	}
}

// TestFirstPagesAreReadOnce: of a file that has not been written since, no page is
// read again.
func TestFirstPagesAreReadOnce(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	s.noop(64)
	dir := s.files(t, 1)
	var seen FirstPages
	begins := func() bool {
		w := openSynth(t, dir, topology.History{TLI: 1})
		w.Remember(&seen)
		return w.begins(2*synthSeg) == nil
	}
	path := filepath.Join(dir, topology.WALFileName(1, 2*synthSeg, synthSeg))
	longAgo := time.Now().Add(-time.Hour)
	write := func(first byte, at time.Time) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte{first}, 0)
		if err := errors.Join(err, f.Close(), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	magic := s.bytes[2*synthSeg][0]
	for _, step := range []struct {
		name  string
		first byte
		at    time.Time
		want  bool
	}{
		{"as it was made, a moment ago", magic, time.Now(), true},
		{"spoilt within the same moment", magic + 1, time.Now(), false},
		{"long ago", magic, longAgo, true},
		{"with the same time: remembered", magic + 1, longAgo, true},
		{"written since", magic + 1, longAgo.Add(1), false},
	} {
		if write(step.first, step.at); begins() != step.want {
			t.Errorf("%s: valid is %v", step.name, !step.want)
		}
	}
}
