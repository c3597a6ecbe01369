package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

func open1(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var day0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// filled has four events, an hour apart.
func filled(t *testing.T, dir string) *Store {
	t.Helper()
	s := open1(t, dir)
	for i, e := range []event.Event{
		{Node: 0, Kind: "decision", Code: "diverged"},
		{Node: 1, Kind: "decision", Code: "healthy"},
		{Node: 0, Kind: "run", Code: "done", Run: "r1", Data: []byte(`{"bytes":7}`)},
		{Node: topology.NoNode, Kind: "hold", Code: "on-hold"},
	} {
		e.At, e.Text = day0.Add(time.Duration(i)*time.Hour), fmt.Sprintf("event %d", i)
		must(t, s.Add(t.Context(), e))
	}
	return s
}

func texts(events []event.Event) string {
	var out []string
	for _, e := range events {
		out = append(out, strings.TrimPrefix(e.Text, "event "))
	}
	return strings.Join(out, " ")
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	s := filled(t, t.TempDir())
	node0, pool := topology.NodeID(0), topology.NoNode
	for name, c := range map[string]struct {
		f    event.Filter
		want string
	}{
		"everything":             {event.Filter{}, "0 1 2 3"},
		"one node":               {event.Filter{Node: &node0}, "0 2"},
		"the pool":               {event.Filter{Node: &pool}, "3"},
		"one kind":               {event.Filter{Kind: "decision"}, "0 1"},
		"node and kind":          {event.Filter{Node: &node0, Kind: "run"}, "2"},
		"since":                  {event.Filter{Since: day0.Add(2 * time.Hour)}, "2 3"},
		"since a moment after":   {event.Filter{Since: day0.Add(2*time.Hour + time.Microsecond)}, "3"},
		"the newest, in order":   {event.Filter{Limit: 2}, "2 3"},
		"until, exclusive":       {event.Filter{Until: day0.Add(2 * time.Hour)}, "0 1"},
		"one code":               {event.Filter{Code: "diverged"}, "0"},
		"one run":                {event.Filter{Run: "r1"}, "2"},
		"none":                   {event.Filter{Kind: "fence"}, ""},
		"more than there may be": {event.Filter{Limit: 1 << 40}, "0 1 2 3"},
	} {
		got, err := s.List(t.Context(), c.f)
		must(t, err)
		if texts(got) != c.want {
			t.Errorf("%s: got %q, want %q", name, texts(got), c.want)
		}
	}
	all, err := s.List(t.Context(), event.Filter{})
	must(t, err)
	if e := all[2]; !e.At.Equal(day0.Add(2*time.Hour)) || e.ID == 0 || string(e.Data) != `{"bytes":7}` ||
		all[0].Data == nil {
		t.Errorf("an event came back as %+v", e)
	}
}

func TestEventWithoutTimeIsOfNow(t *testing.T) {
	t.Parallel()
	s := open1(t, t.TempDir())
	must(t, s.Add(t.Context(), event.Event{Text: "x"}))
	got, err := s.List(t.Context(), event.Filter{Since: time.Now().Add(-time.Minute)})
	must(t, err)
	if len(got) != 1 {
		t.Errorf("got %d events", len(got))
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := filled(t, t.TempDir())
	must(t, s.Prune(t.Context(), day0.Add(time.Hour), 100))
	got, err := s.List(t.Context(), event.Filter{})
	must(t, err)
	if texts(got) != "1 2 3" {
		t.Errorf("by age: %q are left", texts(got))
	}
	must(t, s.Prune(t.Context(), time.Time{}, 2))
	got, err = s.List(t.Context(), event.Filter{})
	must(t, err)
	if texts(got) != "2 3" {
		t.Errorf("by number: %q are left", texts(got))
	}
}

type kept struct{ Names []string }

func TestKeepSurvivesAndIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open1(t, dir)
	var k kept
	if found, err := s.Kept(t.Context(), "k", &k); found || err != nil {
		t.Errorf("before anything was kept: %v, %v", found, err)
	}
	must(t, s.Keep(t.Context(), "k", kept{[]string{"a"}}))
	must(t, s.Keep(t.Context(), "k", kept{[]string{"b", "c"}}))
	must(t, s.Close())
	found, err := open1(t, dir).Kept(t.Context(), "k", &k)
	if !found || err != nil || len(k.Names) != 2 || k.Names[0] != "b" {
		t.Errorf("got %v, %v, %v", k, found, err)
	}
}

// TestReadBesideTheWriter: `repool history` reads while the controller runs,
// and after it has died without a good-bye.
func TestReadBesideTheWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenReadOnly(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no history yet: %v", err)
	}
	w := filled(t, dir)
	r, err := OpenReadOnly(dir)
	must(t, err)
	defer r.Close()
	read := func(want string) {
		t.Helper()
		got, err := r.List(t.Context(), event.Filter{})
		if err != nil || texts(got) != want {
			t.Errorf("got %q, %v, want %q", texts(got), err, want)
		}
	}
	read("0 1 2 3")
	must(t, w.Add(t.Context(), event.Event{Text: "event 4"}))
	read("0 1 2 3 4")
	if err := r.Add(t.Context(), event.Event{Text: "event 5"}); err == nil ||
		!strings.Contains(err.Error(), filepath.Join(dir, FileName)) {
		t.Errorf("a reader may write, or its error does not say what: %v", err)
	}
	must(t, w.Close())
	read("0 1 2 3 4")
	after, err := OpenReadOnly(dir)
	must(t, err)
	defer after.Close()
	if got, err := after.List(t.Context(), event.Filter{}); err != nil || len(got) != 5 {
		t.Errorf("after the writer's end: %d, %v", len(got), err)
	}
}

func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	s := open1(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				err := errors.Join(s.Add(t.Context(), event.Event{Text: "x"}), s.Keep(t.Context(), fmt.Sprint("k", i), n))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := s.List(t.Context(), event.Filter{Limit: 1000}); err != nil || len(got) != 160 {
		t.Errorf("%d events, %v", len(got), err)
	}
}

// TestKeepThatIsCutOff leaves the store usable, and what was kept before.
func TestKeepThatIsCutOff(t *testing.T) {
	t.Parallel()
	s := open1(t, t.TempDir())
	must(t, s.Keep(t.Context(), "k", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Keep(ctx, "k", 2); !errors.Is(err, context.Canceled) {
		t.Errorf("keep: %v", err)
	}
	var got int
	if _, err := s.Kept(t.Context(), "k", &got); err != nil || got != 1 {
		t.Errorf("kept %d, %v", got, err)
	}
}

func TestOddPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a?b=c#d %41 é")
	must(t, os.Mkdir(dir, 0o700))
	filled(t, dir)
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		t.Error(err)
	}
}

func TestBadFilesSayWhichAndWhatToDo(t *testing.T) {
	t.Parallel()
	garbled := t.TempDir()
	must(t, os.WriteFile(filepath.Join(garbled, FileName), []byte(strings.Repeat("this is no database\n", 500)), 0o600))
	for name, open := range map[string]func() error{
		"garbled, for reading": func() error {
			s, err := OpenReadOnly(garbled)
			must(t, err)
			defer s.Close()
			_, err = s.List(t.Context(), event.Filter{})
			return err
		},
		"garbled memory": func() error {
			s := open1(t, t.TempDir())
			_, err := s.db.ExecContext(t.Context(), `INSERT INTO kept VALUES ('k', '{"Names":')`)
			must(t, err)
			_, err = s.Kept(t.Context(), "k", &kept{})
			return err
		},
	} {
		err := open()
		if err == nil || !strings.Contains(err.Error(), FileName) || !strings.Contains(err.Error(), "sets the file aside") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Open(t.Context(), filepath.Join(garbled, "no", "such", "directory"))
	if err == nil || !strings.Contains(err.Error(), "no/such/directory") {
		t.Errorf("no directory: %v", err)
	}
}
