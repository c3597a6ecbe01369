package pgdata

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// FirstPages remembers whether the first page of a segment belongs where it
// stands, so that thousands of segments kept for later use are not read at each
// look. A file that was renamed, replaced or written since is read again. The zero
// value is ready; it may be used by several goroutines. A nil one remembers nothing.
type FirstPages struct {
	mu    sync.Mutex
	pages map[string]firstPage // by path
}

// firstPage is the verdict about one version of a file.
type firstPage struct {
	inode    uint64
	size     int64
	modified int64               // nanoseconds since 1970
	tli      topology.TimelineID // the timeline that the page should have
	system   topology.SystemID
	msg      string // what does not fit; empty: nothing
}

// settledAge is how long ago a file must have been written for its verdict to be
// remembered: two writes within one tick of the file system's clock have one time.
const settledAge = 2 * time.Second

// verdict gives what was remembered of this version of the file.
func (f *FirstPages) verdict(path string, now firstPage) (msg string, known bool) {
	if f == nil {
		return "", false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old, known := f.pages[path]
	now.msg = old.msg
	return old.msg, known && old == now
}

// note remembers a verdict about the file as it was before it was read.
func (f *FirstPages) note(path string, p firstPage) {
	if f == nil || time.Since(time.Unix(0, p.modified)) < settledAge {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pages == nil {
		f.pages = map[string]firstPage{}
	}
	f.pages[path] = p
}

// keepOnly forgets the files of dir that are no longer listed.
func (f *FirstPages) keepOnly(dir string, entries []fs.DirEntry) {
	if f == nil {
		return
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[filepath.Join(dir, e.Name())] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for path := range f.pages {
		if !there[path] {
			delete(f.pages, path)
		}
	}
}

// begins is nil when the segment that starts at start has a valid first page, and
// otherwise the error that page gives. Only that page is read, unless it is known.
func (w *WAL) begins(start topology.LSN) error {
	name, p, err := w.stat(start)
	if err != nil {
		return err
	}
	path := filepath.Join(w.dir, name)
	msg, known := w.seen.verdict(path, p)
	if !known {
		err := w.firstPage(start)
		var stop *WALError
		if err != nil && (!errors.As(err, &stop) || stop.Err != nil) {
			return err
		}
		if stop != nil {
			msg = stop.Msg
		}
		p.msg = msg
		w.seen.note(path, p)
	}
	if msg != "" {
		return &WALError{File: name, LSN: start, Msg: msg}
	}
	return nil
}

// firstPage reads nothing but the first page of the segment at start.
func (w *WAL) firstPage(start topology.LSN) error {
	defer w.readPages(w.pages)
	w.readPages(1)
	_, _, err := w.page(start)
	return err
}

// stat finds the file that counts for the segment at start, as openSegment does.
func (w *WAL) stat(start topology.LSN) (string, firstPage, error) {
	for _, tli := range w.timelinesFor(start) {
		name := topology.WALFileName(tli, start, w.seg)
		st, err := os.Stat(filepath.Join(w.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return name, firstPage{}, &WALError{File: name, LSN: start, Msg: "look at segment", Err: err}
		}
		p := firstPage{size: st.Size(), modified: st.ModTime().UnixNano(), tli: w.history.TimelineAt(start),
			system: w.system}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			p.inode = sys.Ino
		}
		return name, p, nil
	}
	name := topology.WALFileName(w.history.TimelineAt(start), start, w.seg)
	return name, firstPage{}, &WALError{File: name, LSN: start, Msg: "the segment is missing", Err: ErrNoSegment}
}
