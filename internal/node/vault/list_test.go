package vault

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestListHidesNothingAndShowsNothingHalfMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if all, err := List(filepath.Join(dir, "none"), 1); err != nil || len(all) != 0 {
		t.Errorf("no vault yet: %v, %v", all, err)
	}
	write(t, filepath.Join(dir, tmpPrefix+"x", manifestName), `{"entry":{"id":"x","node":1}}`)
	write(t, filepath.Join(dir, "whole", manifestName),
		`{"entry":{"id":"whole","node":1,"complete":true},"files":[{"name":"wal/a","size":3}]}`)
	write(t, filepath.Join(dir, "whole", "wal", "a"), "abc")
	write(t, filepath.Join(dir, "other-node", manifestName), `{"entry":{"id":"other-node","node":2}}`)
	write(t, filepath.Join(dir, "garbled", manifestName), `{"entry":`)
	write(t, filepath.Join(dir, "robbed", manifestName),
		`{"entry":{"id":"robbed","node":1,"complete":true},"files":[{"name":"wal/a","size":3}]}`)
	write(t, filepath.Join(dir, "hostile", manifestName),
		`{"entry":{"id":"hostile","node":1,"complete":true},"files":[{"name":"../../etc/passwd","size":3}]}`)
	all, err := List(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{} // id → complete
	for _, e := range all {
		got[e.ID] = e.Complete
		if !e.Complete && e.Missing == "" {
			t.Errorf("%s is incomplete and does not say why", e.ID)
		}
	}
	want := map[string]bool{"whole": true, "garbled": false, "robbed": false, "hostile": false}
	for id, complete := range want {
		if c, there := got[id]; !there || c != complete {
			t.Errorf("%s: listed %t, complete %t", id, there, c)
		}
	}
	if len(got) != len(want) {
		t.Errorf("listed %v", got)
	}
}

func TestEntryNamesLeadNowhereElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret", reportName), "{}")
	for _, id := range []string{"", ".", "..", "../secret", "a/b", "/etc"} {
		if _, err := ReadReport(filepath.Join(dir, "vault"), id); err == nil {
			t.Errorf("a report was read for %q", id)
		}
		if err := Refill(filepath.Join(dir, "vault"), id, dir); err == nil {
			t.Errorf("%q was refilled", id)
		}
	}
}

func TestNamesOfEntriesTellLinesApart(t *testing.T) {
	t.Parallel()
	a := topology.VaultEntry{Node: 1, TLI: 1, Diverged: 0x3000060, End: 0x3000100}
	b := a
	b.End++
	if entryID(a) == entryID(b) || !validID(entryID(a)) {
		t.Errorf("%s, %s", entryID(a), entryID(b))
	}
}
