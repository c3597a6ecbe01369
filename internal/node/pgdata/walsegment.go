package pgdata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/repool/repool/internal/core/topology"
)

// WAL reads the write-ahead log of one line of timelines from a directory of
// segments. It keeps one file open and one stretch of it in memory, so it is
// for one goroutine. Close it.
type WAL struct {
	dir     string
	history topology.History
	seg     uint64
	block   uint64
	system  topology.SystemID
	pages   uint64 // how many are read at once

	file      *os.File
	fileName  string
	fileStart topology.LSN
	stretch   []byte // what was read last, from stretchAt on
	stretchAt topology.LSN
	have      bool
	// checked is the header of the page at checkedAt, of the stretch in memory,
	// when checkedOK: a page holds many records.
	checked   pageHeader
	checkedAt topology.LSN
	checkedOK bool
	// room is where records are copied to, many to one allocation.
	room []byte
	// stopped ends reading with its error; nil: reading goes on.
	stopped func() error
	// seen remembers first pages; nil: each is read every time.
	seen *FirstPages
	// scratch, when set, takes the records in turn instead: for a walk that keeps
	// no record but the newest. One more may be read and given up meanwhile, and
	// another where an abandoned one is stepped over.
	scratch *[3][]byte
}

// defaultWALBlock is PostgreSQL's usual page size; Expect knows the real one.
const defaultWALBlock = 8192

// stretchPages is how many pages are read at once, by default.
const stretchPages = 32

// readPages sets how many pages are read at once.
func (w *WAL) readPages(n uint64) {
	w.pages, w.have, w.checkedOK = n, false, false
}

// OpenWAL prepares to read dir/pg_wal along history, which ends at tli; an
// unknown history means tli alone. segSize is Control.SegmentSize. No file is
// opened yet.
func OpenWAL(dir string, tli topology.TimelineID, history topology.History, segSize uint64) (*WAL, error) {
	return OpenWALDir(filepath.Join(dir, walDirName), tli, history, segSize)
}

// OpenWALDir is OpenWAL for a bare directory of segments, such as a vault.
func OpenWALDir(walDir string, tli topology.TimelineID, history topology.History, segSize uint64) (*WAL, error) {
	if !history.Known() {
		history = topology.History{TLI: tli}
	}
	if tli == 0 || history.TLI != tli {
		return nil, fmt.Errorf("open WAL in %s: the history given ends on timeline %d, want %d", walDir, history.TLI, tli)
	}
	if !validSegSize(segSize) {
		return nil, fmt.Errorf("open WAL in %s: %d is not a valid WAL segment size", walDir, segSize)
	}
	return &WAL{dir: walDir, history: history, seg: segSize, block: defaultWALBlock, pages: stretchPages}, nil
}

// OpenOwnWAL opens the WAL of dir along the line it is on itself.
func OpenOwnWAL(dir string) (*WAL, Control, error) {
	c, err := ReadControl(dir)
	if err != nil {
		return nil, Control{}, err
	}
	h, err := OwnHistory(dir)
	if err != nil {
		return nil, Control{}, err
	}
	w, err := OpenWAL(dir, h.TLI, h, c.SegmentSize)
	if err != nil {
		return nil, Control{}, err
	}
	w.Expect(c)
	return w, c, nil
}

// Expect makes the reader reject segments of another cluster than c's, and
// gives it c's page size. Without it, 8 KiB pages of any cluster are read.
func (w *WAL) Expect(c Control) {
	_ = w.Close() // what was read under other expectations counts no more
	w.system, w.block = c.SystemID, uint64(c.WALBlockSize)
}

// StopWith makes every read after the end of ctx fail with its cause.
func (w *WAL) StopWith(ctx context.Context) {
	w.stopped = func() error { return context.Cause(ctx) }
}

// Remember makes the reader look first pages up in seen before it reads them.
func (w *WAL) Remember(seen *FirstPages) { w.seen = seen }

// History is the line that is read.
func (w *WAL) History() topology.History { return w.history }

// Close releases the open segment. Closing twice does no harm.
func (w *WAL) Close() error {
	w.have, w.checkedOK = false, false
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	return f.Close()
}

// segStart is the start of the segment that holds lsn.
func (w *WAL) segStart(lsn topology.LSN) topology.LSN { return lsn &^ topology.LSN(w.seg-1) }

// pageStart is the start of the page that holds lsn.
func (w *WAL) pageStart(lsn topology.LSN) topology.LSN { return lsn &^ topology.LSN(w.block-1) }

// timelinesFor lists, newest first, the timelines whose file may hold the
// segment at start: a timeline's files begin with the one that has its switch
// point, and the newest file that exists is the one that counts.
func (w *WAL) timelinesFor(start topology.LSN) []topology.TimelineID {
	var out []topology.TimelineID
	if w.segStart(w.history.Begin(w.history.TLI)) <= start {
		out = append(out, w.history.TLI)
	}
	for _, a := range slices.Backward(w.history.Ancestors) {
		if w.segStart(w.history.Begin(a.TLI)) <= start {
			out = append(out, a.TLI)
		}
	}
	return out
}

// openSegment makes the segment that starts at start the open one.
func (w *WAL) openSegment(start topology.LSN) error {
	if w.file != nil && w.fileStart == start {
		return nil
	}
	w.Close()
	tlis := w.timelinesFor(start)
	for _, tli := range tlis {
		name := topology.WALFileName(tli, start, w.seg)
		f, err := os.Open(filepath.Join(w.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return &WALError{File: name, LSN: start, Msg: "open segment", Err: err}
		}
		w.file, w.fileName, w.fileStart = f, name, start
		return nil
	}
	name := topology.WALFileName(w.history.TimelineAt(start), start, w.seg)
	return &WALError{File: name, LSN: start, Msg: "the segment is missing", Err: ErrNoSegment}
}

// page reads and checks the page that starts at addr. The bytes are valid
// until the next call.
func (w *WAL) page(addr topology.LSN) ([]byte, pageHeader, error) {
	if err := w.load(addr); err != nil {
		return nil, pageHeader{}, err
	}
	b := w.stretch[addr-w.stretchAt:]
	if uint64(len(b)) < w.block {
		return nil, pageHeader{}, w.stop(addr, "the file ends here")
	}
	b = b[:w.block]
	if w.checkedOK && w.checkedAt == addr {
		return b, w.checked, nil
	}
	h, msg := parsePage(b, pageRules{
		addr: addr, seg: w.seg, block: w.block, system: w.system,
		tli: w.history.TimelineAt(addr), startOf: addr == w.segStart(addr),
	})
	if msg != "" {
		return nil, h, w.stop(addr, msg)
	}
	w.checked, w.checkedAt, w.checkedOK = h, addr, true
	return b, h, nil
}

// roomSize is what one allocation for records holds.
const roomSize = 64 << 10

// keep copies b, with room for n bytes in all.
func (w *WAL) keep(b []byte, n uint64) []byte {
	if s := w.scratch; s != nil {
		s[0], s[1], s[2] = s[1], s[2], append(s[0][:0], b...)
		return s[2]
	}
	if n > roomSize/4 {
		return append(make([]byte, 0, min(n, 1<<20)), b...) // the length is not proven yet
	}
	if uint64(len(w.room)) < n {
		w.room = make([]byte, roomSize)
	}
	out := append(w.room[:0:n], b...)
	w.room = w.room[n:]
	return out
}

// load reads the stretch of the segment that holds addr, unless it is there.
func (w *WAL) load(addr topology.LSN) error {
	size := topology.LSN(min(w.pages*w.block, w.seg))
	at := addr &^ (size - 1)
	if w.have && w.stretchAt == at && w.file != nil && w.fileStart == w.segStart(addr) {
		return nil
	}
	if w.stopped != nil {
		if err := w.stopped(); err != nil {
			return &WALError{File: w.fileName, LSN: addr, Msg: "reading was stopped", Err: err}
		}
	}
	if err := w.openSegment(w.segStart(addr)); err != nil {
		return err
	}
	if uint64(cap(w.stretch)) < uint64(size) {
		w.stretch = make([]byte, size)
	}
	w.have, w.checkedOK, w.stretch = false, false, w.stretch[:size]
	n, err := w.file.ReadAt(w.stretch, int64(at-w.fileStart))
	if err != nil && !errors.Is(err, io.EOF) {
		return &WALError{File: w.fileName, LSN: addr, Msg: "read segment", Err: err}
	}
	clear(w.stretch[n:])
	w.have, w.stretchAt, w.stretch = true, at, w.stretch[:max(n, int(addr-at))]
	return nil
}

// stop is the error of an ordinary end at lsn in the open segment.
func (w *WAL) stop(lsn topology.LSN, msg string) error {
	return &WALError{File: w.fileName, LSN: lsn, Msg: msg}
}

// segments lists the starts of the segments of this line that are in the
// directory, rising. A file being there says nothing of its content.
func (w *WAL) segments() ([]topology.LSN, error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, fmt.Errorf("list WAL segments: %w", err)
	}
	w.seen.keepOnly(w.dir, entries)
	var starts []topology.LSN
	for _, e := range entries {
		tli, start, ok := topology.ParseWALFileName(e.Name(), w.seg)
		if ok && slices.Contains(w.timelinesFor(start), tli) {
			starts = append(starts, start)
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts), nil
}

// Segments lists the starts of this line's segments that begin with a valid
// page, falling: the newest first. A segment that the server renamed for later use
// still has a page of its earlier use, and is left out. The last valid record may
// be in any of them.
func (w *WAL) Segments() iter.Seq2[topology.LSN, error] {
	return func(yield func(topology.LSN, error) bool) {
		starts, err := w.segments()
		if err != nil {
			yield(0, err)
			return
		}
		for _, at := range slices.Backward(starts) {
			err := w.begins(at)
			if endOfWAL(err) {
				continue
			}
			if !yield(at, err) || err != nil {
				return
			}
		}
	}
}

// OldestSegment is the start of the oldest valid segment from which the line
// is there without a gap up to the segment that holds lsn. The error is
// ErrNoSegment when even that one is missing.
func (w *WAL) OldestSegment(lsn topology.LSN) (topology.LSN, error) {
	at := w.segStart(lsn)
	if err := w.begins(at); err != nil {
		return 0, err
	}
	for at >= topology.LSN(w.seg) {
		if err := w.begins(at - topology.LSN(w.seg)); endOfWAL(err) {
			break
		} else if err != nil {
			return 0, err
		}
		at -= topology.LSN(w.seg)
	}
	return at, nil
}

// hasOwnSegment says whether there is a segment file of the line's newest
// timeline whose first page is valid.
func (w *WAL) hasOwnSegment() (bool, error) {
	starts, err := w.segments()
	if err != nil {
		return false, err
	}
	begin := w.segStart(w.history.Begin(w.history.TLI))
	for _, at := range starts {
		if at < begin {
			continue
		}
		err := w.begins(at)
		if err != nil && !endOfWAL(err) {
			return false, err
		}
		// The file that counts is that of the newest timeline, if there is one.
		_, lerr := os.Lstat(filepath.Join(w.dir, topology.WALFileName(w.history.TLI, at, w.seg)))
		if err == nil && lerr == nil {
			return true, nil
		}
	}
	return false, nil
}
