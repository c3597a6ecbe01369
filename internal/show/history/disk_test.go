package history

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/show/event"
)

// readOnlyDir makes what is opened in dir from now on read-only, for root too,
// until the test ends or again is called.
func readOnlyDir(t *testing.T, dir string) (again func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		must(t, os.Chmod(dir, 0o500))
		return func() { must(t, os.Chmod(dir, 0o700)) }
	}
	must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // again may have done it
	must(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	return func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }
}

// inMemoryOnly asserts that the store works without its file, and says so.
func inMemoryOnly(t *testing.T, s *Store) {
	t.Helper()
	must(t, s.Add(t.Context(), event.Event{Text: "event later"}))
	asides := s.Asides()
	if len(asides) != 1 || asides[0].Path != "" || !strings.Contains(asides[0].Text(), "in memory only") {
		t.Errorf("set aside: %+v", asides)
	}
	got, err := s.List(t.Context(), event.Filter{})
	must(t, err)
	if len(got) < 2 || got[0].Code != string(codes.HistorySetAside) || got[len(got)-1].Text != "event later" {
		t.Errorf("it tells %+v", got)
	}
	var k kept
	if found, err := s.Kept(t.Context(), "planner-memory", &k); !found || err != nil || len(k.Names) != 1 {
		t.Errorf("what was kept: %v %+v, %v", found, k, err)
	}
	must(t, s.Keep(t.Context(), "k", 7))
}

// asItWas asserts that the file is the one of before().
func asItWas(t *testing.T, dir string) {
	t.Helper()
	s := open1(t, dir)
	if got, err := s.List(t.Context(), event.Filter{Limit: 1000}); err != nil || len(got) != 304 || len(s.Asides()) != 0 {
		t.Errorf("the file as it was: %d events, %v, set aside %+v", len(got), err, s.Asides())
	}
	if found, err := filepath.Glob(filepath.Join(dir, FileName+".damaged*")); err != nil || len(found) != 0 {
		t.Errorf("moved: %v, %v", found, err)
	}
}

// TestReadOnlyAtTheStart: a file system that takes nothing; the file is good and
// stays, and the history is in memory meanwhile.
func TestReadOnlyAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before(t, dir)
	again := readOnlyDir(t, dir)
	s := open1(t, dir)
	inMemoryOnly(t, s)
	must(t, s.Close())
	again()
	asItWas(t, dir)
}

// TestReadOnlyWhileInUse: as when the kernel remounts a failing disk.
func TestReadOnlyWhileInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before(t, dir)
	s := open1(t, dir)
	again := readOnlyDir(t, dir)
	_, err := s.db.ExecContext(t.Context(), `PRAGMA query_only = on`) // what is open already would still be written
	must(t, err)
	inMemoryOnly(t, s)
	must(t, s.Close())
	again()
	asItWas(t, dir)
}

// TestFullWhileInUse: the write fails with what is missing, nothing is set
// aside, and when there is room it goes on in the same file.
func TestFullWhileInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before(t, dir)
	s := open1(t, dir)
	limit := func(pages int) {
		t.Helper()
		_, err := s.db.ExecContext(t.Context(), `PRAGMA max_page_count = `+strconv.Itoa(pages)) // SQLite's own "disk full"
		must(t, err)
	}
	limit(1)
	full := func() (err error) {
		for range 100 {
			if err = s.Add(t.Context(), event.Event{Text: strings.Repeat("x", 8000)}); err != nil {
				break
			}
		}
		return err
	}
	if err := full(); !hasCode(err, sqlite3.SQLITE_FULL) || strings.Contains(err.Error(), "sets the file aside") {
		t.Errorf("the write says %v", err)
	}
	limit(1 << 20)
	must(t, s.Add(t.Context(), event.Event{Text: "event after"}))
	if len(s.Asides()) != 0 {
		t.Errorf("set aside: %+v", s.Asides())
	}
}

// TestFullDisk is the same with a real one, and what happens at a start on it.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a disk of its own needs root: make test-all")
	}
	t.Parallel()
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	before(t, dir)
	s := open1(t, dir)
	ballast := filepath.Join(dir, "ballast")
	fill := func() {
		t.Helper()
		f, err := os.Create(ballast)
		must(t, err)
		for {
			if _, err = f.Write(make([]byte, 4096)); err != nil {
				break
			}
		}
		must(t, f.Close())
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	fill()
	var err error
	for range 100 {
		if err = s.Add(t.Context(), event.Event{Text: strings.Repeat("x", 8000)}); err != nil {
			break
		}
	}
	if err == nil || len(s.Asides()) != 0 {
		t.Errorf("written to a full disk: %v, set aside %+v", err, s.Asides())
	}
	if err := CopyAt(dir, HoldsFile).Save(kept{[]string{"held"}}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("the second copy of the holds says %v", err)
	}
	must(t, os.Remove(ballast))
	must(t, s.Add(t.Context(), event.Event{Text: "event after"}))
	must(t, s.Close())

	fill()
	s = open1(t, dir)
	var k kept
	if found, err := s.Kept(t.Context(), "planner-memory", &k); !found || err != nil || len(k.Names) != 1 {
		t.Errorf("at a start on a full disk: kept %v %+v, %v", found, k, err)
	}
	must(t, s.Close())
	must(t, os.Remove(ballast))
	if moved, err := filepath.Glob(filepath.Join(dir, FileName+".damaged*")); err != nil || len(moved) != 0 {
		t.Errorf("a good file was moved: %v, %v", moved, err)
	}
	s = open1(t, dir)
	got, err := s.List(t.Context(), event.Filter{Limit: 1000})
	must(t, err)
	if len(got) < 305 || len(s.Asides()) != 0 {
		t.Errorf("with room again: %d events, set aside %+v", len(got), s.Asides())
	}
}
