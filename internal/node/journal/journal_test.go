package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

func open(t *testing.T) (*Journal, string) {
	t.Helper()
	workDir := filepath.Join(t.TempDir(), "data.repool")
	j, err := Open(workDir)
	if err != nil {
		t.Fatal(err)
	}
	return j, workDir
}

func record(seq int, outcome topology.Outcome) Record {
	return Record{Seq: uint64(seq), Holder: "controller", Repair: RepairWhole, Saved: SavedAll,
		Request: topology.RunRequest{ID: fmt.Sprintf("run-%d", seq), Method: topology.MethodRewind},
		Run: topology.RunState{ID: fmt.Sprintf("run-%d", seq), Method: topology.MethodRewind, Outcome: outcome,
			Started: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
			Steps:   []topology.StepRun{{Name: "confirm", Note: "fine"}},
			Vault:   &topology.VaultEntry{ID: "v", Commits: 3, Diverged: 0x5000000}}}
}

func put(t *testing.T, j *Journal, recs ...Record) {
	t.Helper()
	for _, r := range recs {
		if err := j.Put(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	j, _ := open(t)
	want := record(1, topology.RunRunning)
	put(t, j, want)
	want.Run.Outcome = topology.RunDone
	put(t, j, want)
	got, err := j.Get("run-1")
	want.Format = 1
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for _, id := range []string{"run-2", "", "../run-1", ".hidden"} {
		if _, err := j.Get(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("get %q: %v", id, err)
		}
		r := record(1, topology.RunDone)
		if r.Run.ID = id; id != "run-2" && j.Put(r) == nil {
			t.Errorf("put took the id %q", id)
		}
	}
}

// The newest run is told by its sequence number: clocks go backwards.
func TestNewest(t *testing.T) {
	t.Parallel()
	j, _ := open(t)
	if _, ok, err := j.Newest(); ok || err != nil {
		t.Errorf("empty journal: %v, %v", ok, err)
	}
	late := record(2, topology.RunDone)
	late.Run.Started = late.Run.Started.Add(-time.Hour)
	put(t, j, late, record(1, topology.RunDone))
	for range 2 { // the second time from the cache
		if rec, ok, err := j.Newest(); !ok || err != nil || rec.Seq != 2 {
			t.Errorf("newest: %+v, %v, %v", rec, ok, err)
		}
	}
	put(t, j, record(10, topology.RunDone))
	if rec, _, err := j.Newest(); err != nil || rec.Seq != 10 {
		t.Errorf("newest after another put: %+v, %v", rec, err)
	}
}

func TestGarbledFilesHideNoOther(t *testing.T) {
	t.Parallel()
	j, workDir := open(t)
	put(t, j, record(1, topology.RunDone))
	good, err := os.ReadFile(filepath.Join(workDir, "journal", "run-1.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":      "",
		"half":       string(good[:len(good)/2]),
		"other-name": string(good),
		"no-record":  "{}",
		"newer":      strings.Replace(string(good), `"format": 1`, `"format": 2`, 1),
		"binary":     "\x00\x01\xff",
		"wrong-type": `{"format":1,"seq":"x"}`,
	} {
		path := filepath.Join(workDir, "journal", name+".json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		recs, err := j.List()
		var garbled *GarbledError
		if len(recs) != 1 || !errors.As(err, &garbled) || garbled.Path != path || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %d records, %v", name, len(recs), err)
		}
		if _, err := j.Get(name); !errors.As(err, &garbled) {
			t.Errorf("get %s: %v", name, err)
		}
		if _, ok, err := j.Newest(); !ok || !errors.As(err, &garbled) {
			t.Errorf("newest beside %s: %v, %v", name, ok, err)
		}
		if err := j.Prune(); err != nil {
			t.Errorf("prune beside %s: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Errorf("prune removed what nobody could read: %v", err)
		}
	}
}

// A garbled file that is older than the newest record says nothing of today.
func TestOldGarbledFileIsNoDoubt(t *testing.T) {
	t.Parallel()
	j, workDir := open(t)
	path := filepath.Join(workDir, "journal", "old.json")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := j.Newest(); ok || err == nil {
		t.Errorf("alone: %v, %v", ok, err)
	}
	put(t, j, record(1, topology.RunDone))
	if rec, ok, err := j.Newest(); !ok || err != nil || rec.Seq != 1 {
		t.Errorf("beside a newer record: %+v, %v, %v", rec, ok, err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	j, workDir := open(t)
	live, damaged := record(1, topology.RunWaiting), record(2, topology.RunInterrupted)
	damaged.Run.Damaged, damaged.Repair = true, RepairDamaged
	put(t, j, live, damaged)
	for i := 3; i < Keep+10; i++ {
		put(t, j, record(i, topology.RunDone))
	}
	dir := filepath.Join(workDir, "journal")
	stale, fresh := filepath.Join(dir, ".run-1.json123"), filepath.Join(dir, ".run-2.json123")
	for _, p := range []string{stale, fresh} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(stale, old, old); err != nil {
		t.Fatal(err)
	}
	if err := j.Prune(); err != nil {
		t.Fatal(err)
	}
	recs, err := j.List()
	if err != nil || len(recs) != Keep+2 {
		t.Fatalf("%d records left, %v", len(recs), err)
	}
	if recs[Keep].Seq != 2 || recs[Keep+1].Seq != 1 {
		t.Errorf("the oldest left are %d and %d", recs[Keep].Seq, recs[Keep+1].Seq)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stale temporary file is there: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the fresh temporary file is gone: %v", err)
	}
}

func TestUnusableWorkDir(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("open: %v", err)
	}
	if _, err := OpenChildren(filepath.Join(file, "x")); err == nil {
		t.Error("children of a work directory that cannot be")
	}
}

func TestChildren(t *testing.T) {
	t.Parallel()
	workDir := filepath.Join(t.TempDir(), "data.repool")
	c, err := OpenChildren(workDir)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := c.List(); err != nil || len(l) != 0 {
		t.Errorf("empty: %v, %v", l, err)
	}
	for _, err := range []error{c.Add(10, 100, "pg_rewind"), c.Add(11, 110, "pg_ctl"), c.Add(10, 105, "pg_basebackup"),
		c.Remove(11), c.Remove(99)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	again, err := OpenChildren(workDir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Child{{PID: 10, StartTicks: 105, Name: "pg_basebackup"}}
	if l, err := again.List(); err != nil || !reflect.DeepEqual(l, want) {
		t.Errorf("got %v, %v", l, err)
	}
	if err := os.WriteFile(filepath.Join(workDir, "children.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var garbled *GarbledError
	if _, err := again.List(); !errors.As(err, &garbled) {
		t.Errorf("garbled: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("run-1", []byte(`{"format":1,"seq":3,"run":{"id":"run-1","outcome":"done","started":"2026-01-02T03:04:05Z"}}`))
	f.Add("x", []byte(`{}`))
	f.Add("x", []byte(``))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		r, err := decode(name, data)
		if err == nil && (r.Run.ID != name || r.Seq == 0 || r.Format != 1) {
			t.Errorf("accepted %+v", r)
		}
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decode(name, text); err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("wrote %+v, read %+v, %v", r, again, err)
		}
	})
}

// FuzzChildren: a garbled list of children is said to be one, and never an empty one.
func FuzzChildren(f *testing.F) {
	f.Add([]byte(`[{"pid":10,"start_ticks":105,"name":"pg_basebackup"}]`))
	f.Add([]byte(`null`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := OpenChildren(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := c.List()
		var garbled *GarbledError
		if err != nil && !errors.As(err, &garbled) || err == nil && len(list) == 0 && strings.Contains(string(text), "pid") {
			t.Errorf("%q: %v, %v", text, list, err)
		}
	})
}
