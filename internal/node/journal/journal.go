package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

// Keep is how many runs Prune leaves, beside those that it must not touch.
const Keep = 50

// ErrNotFound is returned by Get for a run that has no file.
var ErrNotFound = errors.New("no such run in the journal")

// GarbledError names a journal file that cannot be read as a record. What it
// said is unknown.
type GarbledError struct {
	Path string
	Err  error
}

// Error names the file and says what to do with it.
func (e *GarbledError) Error() string {
	return fmt.Sprintf("journal file %s cannot be read: %v; move it away once the node is in order", e.Path, e.Err)
}

// Unwrap gives the cause.
func (e *GarbledError) Unwrap() error { return e.Err }

// Journal is one node's records. It may be used from several goroutines; who
// may write is decided by the agent's lock, not here.
type Journal struct {
	dir      string
	readOnly bool

	mu    sync.Mutex
	cache map[string]cached // by file name
}

// cached is a file as it was last read; a replaced file has another inode.
type cached struct {
	info fs.FileInfo
	rec  Record
	err  error
}

// Open makes sure that work directory/journal exists and returns it as a Journal.
func Open(workDir string) (*Journal, error) {
	dir := filepath.Join(workDir, "journal")
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return &Journal{dir: dir, cache: map[string]cached{}}, nil
}

// OpenReadOnly is Open for one that only reads: nothing is made, and a work directory
// that is not there holds no runs.
func OpenReadOnly(workDir string) *Journal {
	return &Journal{dir: filepath.Join(workDir, "journal"), readOnly: true, cache: map[string]cached{}}
}

// Put makes rec durable under its run's id, replacing what was there.
func (j *Journal) Put(rec Record) error {
	if !ValidID(rec.Run.ID) {
		return fmt.Errorf("journal a run: %q is not a run id", rec.Run.ID)
	}
	rec.Format = format
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	if err := enc.Encode(rec); err != nil {
		return fmt.Errorf("journal run %s: %w", rec.Run.ID, err)
	}
	if err := WriteFile(j.path(rec.Run.ID), b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("journal run %s: %w", rec.Run.ID, err)
	}
	return nil
}

// Get reads one run; ErrNotFound when there is none, *GarbledError when its
// file cannot be read.
func (j *Journal) Get(id string) (Record, error) {
	if !ValidID(id) {
		return Record{}, fmt.Errorf("run %q: %w", id, ErrNotFound)
	}
	data, err := os.ReadFile(j.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("run %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read the journal of run %s: %w", id, err)
	}
	rec, err := decode(id, data)
	if err != nil {
		return Record{}, &GarbledError{Path: j.path(id), Err: err}
	}
	return rec, nil
}

// List reads all runs, newest first. With garbled files it returns the others
// and a joined error with one *GarbledError each.
func (j *Journal) List() ([]Record, error) {
	good, bad, err := j.readAll()
	if err != nil {
		return nil, err
	}
	var recs []Record
	for _, c := range good {
		recs = append(recs, c.rec)
	}
	var errs []error
	for _, c := range bad {
		errs = append(errs, c.err)
	}
	return recs, errors.Join(errs...)
}

// readAll reads every file: the records, newest first, and the garbled ones.
func (j *Journal) readAll() (good, bad []cached, err error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil && (!j.readOnly || !errors.Is(err, fs.ErrNotExist)) {
		return nil, nil, fmt.Errorf("list the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := make(map[string]cached, len(entries))
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !ValidID(id) {
			continue
		}
		c, ok := j.read(e, id)
		if !ok {
			continue // removed meanwhile
		}
		seen[e.Name()] = c
		if c.err != nil {
			bad = append(bad, c)
		} else {
			good = append(good, c)
		}
	}
	j.cache = seen
	sort.SliceStable(good, func(a, b int) bool { return good[a].rec.Seq > good[b].rec.Seq })
	return good, bad, nil
}

// read gives one entry from the cache or the disk; ok is false when it is gone.
func (j *Journal) read(e fs.DirEntry, id string) (c cached, ok bool) {
	info, err := e.Info()
	if err != nil {
		return cached{}, false
	}
	old, hit := j.cache[e.Name()]
	if hit && os.SameFile(old.info, info) && old.info.ModTime().Equal(info.ModTime()) && old.info.Size() == info.Size() {
		return old, true
	}
	rec, err := j.Get(id)
	if errors.Is(err, ErrNotFound) {
		return cached{}, false
	}
	return cached{info: info, rec: rec, err: err}, true
}

// Newest is the run with the highest sequence number; ok is false when there
// is none. A *GarbledError beside it names files that were written no earlier:
// one of those may be the newest run.
func (j *Journal) Newest() (rec Record, ok bool, err error) {
	good, bad, err := j.readAll()
	if err != nil {
		return Record{}, false, err
	}
	var since time.Time
	if ok = len(good) > 0; ok {
		rec, since = good[0].rec, good[0].info.ModTime()
	}
	var errs []error
	for _, c := range bad {
		if !c.info.ModTime().Before(since) {
			errs = append(errs, c.err)
		}
	}
	return rec, ok, errors.Join(errs...)
}

// Prune removes all but the newest Keep runs, but never one that has not
// ended, that left a damaged directory, or that is garbled. Half-written
// temporary files older than an hour go too.
func (j *Journal) Prune() error {
	recs, err := j.List()
	var garbled *GarbledError
	if err != nil && !errors.As(err, &garbled) {
		return err
	}
	var errs []error
	for i, r := range recs {
		if i < Keep || r.Live() || r.Run.Damaged || r.Repair == RepairDamaged {
			continue
		}
		errs = append(errs, os.Remove(j.path(r.Run.ID)))
	}
	errs = append(errs, j.removeTemporary(time.Now().Add(-time.Hour)))
	return errors.Join(errs...)
}

// removeTemporary removes what a crash in WriteFile left before that time.
func (j *Journal) removeTemporary(before time.Time) error {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return fmt.Errorf("list the journal: %w", err)
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), ".") || !e.Type().IsRegular() || info.ModTime().After(before) {
			continue
		}
		errs = append(errs, os.Remove(filepath.Join(j.dir, e.Name())))
	}
	return errors.Join(errs...)
}

func (j *Journal) path(id string) string { return filepath.Join(j.dir, id+".json") }
