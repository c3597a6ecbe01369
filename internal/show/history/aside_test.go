package history

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/show/event"
)

// before makes a store with an event and a kept value, and closes it.
func before(t *testing.T, dir string) (path string) {
	t.Helper()
	s := filled(t, dir)
	must(t, s.Keep(t.Context(), "planner-memory", kept{[]string{"held"}}))
	for range 300 {
		must(t, s.Add(t.Context(), event.Event{Text: strings.Repeat("x", 400)}))
	}
	must(t, s.Close())
	return filepath.Join(dir, FileName)
}

// TestFileThatCannotBeUsed: whatever stands in the file's place, Open gives a
// store that works, says so in its first event, and loses no kept value that
// can be read.
func TestFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		saved bool
	}{
		"garbage": {func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 500)), 0o600))
		}, false},
		"truncated": {func(t *testing.T, path string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.Truncate(path, info.Size()/2))
		}, false},
		"truncated to less than a page": {func(t *testing.T, path string) { must(t, os.Truncate(path, 100)) }, false},
		"a page of garbage in the middle": {func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt([]byte(strings.Repeat("\xff\x13", 2048)), 3*4096)
			must(t, errors.Join(err, f.Close()))
		}, true},
		"a directory": {func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, false},
		"another program's tables": {func(t *testing.T, path string) {
			must(t, os.Remove(path))
			db, err := sql.Open("sqlite", path)
			must(t, err)
			_, err = db.ExecContext(t.Context(), `CREATE TABLE events (what TEXT)`)
			must(t, errors.Join(err, db.Close()))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := before(t, dir)
			c.spoil(t, path)
			s := open1(t, dir)
			asides := s.Asides()
			if len(asides) != 1 || !strings.HasPrefix(asides[0].Path, path+".damaged-") {
				t.Fatalf("set aside: %+v", asides)
			}
			if _, err := os.Stat(asides[0].Path); err != nil {
				t.Error(err)
			}
			events, err := s.List(t.Context(), event.Filter{})
			must(t, err)
			if len(events) != 1 || events[0].Code != string(codes.HistorySetAside) || events[0].Text != asides[0].Text() {
				t.Errorf("the new history begins with %+v", events)
			}
			var k kept
			found, err := s.Kept(t.Context(), "planner-memory", &k)
			must(t, err)
			if found != c.saved || found != strings.Contains(asides[0].Text(), "were taken over") {
				t.Errorf("kept value found: %v, want %v; said: %s", found, c.saved, asides[0].Text())
			}
			must(t, s.Add(t.Context(), event.Event{Text: "goes on"}))
			must(t, s.Close())
			if again := open1(t, dir); len(again.Asides()) != 0 {
				t.Errorf("the new file is set aside in its turn: %+v", again.Asides())
			}
		})
	}
}

// TestSoundFileIsLeft: opening again sets nothing aside.
func TestSoundFileIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before(t, dir)
	s := open1(t, dir)
	if got, err := s.List(t.Context(), event.Filter{Limit: 1000}); err != nil || len(got) != 304 || len(s.Asides()) != 0 {
		t.Errorf("%d events, %v, set aside %+v", len(got), err, s.Asides())
	}
}

// TestOlderFile: one without the column for runs is read as it is, and gets it
// when it is opened for writing.
func TestOlderFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, FileName))
	must(t, err)
	_, err = db.ExecContext(t.Context(), schema+
		`INSERT INTO events (at, node, kind, code, text, data) VALUES (1, 0, 'run', 'done', 'event old', 'null')`)
	must(t, errors.Join(err, db.Close()))
	r, err := OpenReadOnly(dir)
	must(t, err)
	defer r.Close()
	w := open1(t, dir)
	must(t, w.Add(t.Context(), event.Event{Run: "r1", Text: "event new"}))
	for who, s := range map[string]*Store{"reader": r, "writer": w} {
		got, err := s.List(t.Context(), event.Filter{})
		if err != nil || texts(got) != "old new" {
			t.Errorf("%s: %q, %v", who, texts(got), err)
		}
	}
	got, err := w.List(t.Context(), event.Filter{Run: "r1"})
	if err != nil || texts(got) != "new" {
		t.Errorf("by run: %q, %v", texts(got), err)
	}
}

// TestDamageWhileInUse: the store goes on with a new file, and what was kept is
// in it, also what only this process knew.
func TestDamageWhileInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := before(t, dir)
	s := open1(t, dir)
	must(t, s.Keep(t.Context(), "k", 7))
	must(t, s.db.Close())
	must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 5000)), 0o600))
	db, err := dial(path, forWriting)
	must(t, err)
	s.db = db // as if its cache had been empty
	must(t, s.Add(t.Context(), event.Event{Text: "event after"}))
	var k int
	if found, err := s.Kept(t.Context(), "k", &k); err != nil || !found || k != 7 || len(s.Asides()) != 1 {
		t.Errorf("kept %v %d, %v; set aside %+v", found, k, err, s.Asides())
	}
	got, err := s.List(t.Context(), event.Filter{})
	if err != nil || len(got) != 2 || got[0].Code != string(codes.HistorySetAside) || got[1].Text != "event after" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFileThatIsLocked may be good: it stays where it is, and the history is in
// memory until the next start, with what was kept.
func TestFileThatIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := before(t, dir)
	db, err := dial(path, "_pragma=locking_mode(exclusive)")
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `PRAGMA journal_mode = delete; BEGIN EXCLUSIVE`)
	must(t, err)
	s := open1(t, dir)
	if a := s.Asides(); len(a) != 1 || a[0].Path != "" || !strings.Contains(a[0].Text(), "in memory only") {
		t.Errorf("set aside: %+v", a)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	must(t, s.Add(t.Context(), event.Event{Text: "x"}))
}

// TestGarbledValue: the file is sound, but a value in it is not what was kept.
func TestGarbledValue(t *testing.T) {
	t.Parallel()
	s := open1(t, t.TempDir())
	must(t, s.Keep(t.Context(), "good", 1))
	must(t, s.Keep(t.Context(), "k", "no number"))
	var n int
	_, err := s.Kept(t.Context(), "k", &n)
	if !errors.Is(err, event.ErrGarbled) {
		t.Fatal(err)
	}
	must(t, s.SetAside(t.Context(), err, "k"))
	if found, err := s.Kept(t.Context(), "k", &n); found || err != nil {
		t.Errorf("the garbled value is still there: %v", err)
	}
	if found, err := s.Kept(t.Context(), "good", &n); !found || err != nil || n != 1 {
		t.Errorf("the good one is lost: %v", err)
	}
}

// TestOldAsidesAreRemoved keeps damaged files from filling the disk.
func TestOldAsidesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, at := range []string{"20250101T000000.000", "20250102T000000.000", "20250103T000000.000"} {
		must(t, os.WriteFile(filepath.Join(dir, FileName+".damaged-"+at), nil, 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, FileName), []byte("no database, but some text of a good length to be sure\n"),
		0o600))
	open1(t, dir)
	got, err := filepath.Glob(filepath.Join(dir, FileName+".damaged-*"))
	must(t, err)
	if len(got) != keepAsides || strings.Contains(strings.Join(got, " "), "20250101") {
		t.Errorf("left: %v", got)
	}
}
