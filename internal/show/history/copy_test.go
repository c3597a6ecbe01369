package history

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/repool/repool/internal/show/event"
)

// TestCopy: what was saved is read, and what was not is never taken for it.
func TestCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := CopyAt(dir, HoldsFile)
	var got kept
	if found, err := c.Load(&got); found || err != nil {
		t.Fatalf("before there is a file: %v, %v", found, err)
	}
	want := kept{[]string{"new <disk>", "é"}}
	for range 2 { // the second replaces the first
		must(t, c.Save(want))
	}
	found, err := c.Load(&got)
	if !found || err != nil || !slices.Equal(got.Names, want.Names) {
		t.Fatalf("read %v %+v, %v", found, got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left beside it: %v, %v", left, err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, HoldsFile))
	must(t, err)
	spoilt := map[string]string{"empty": "", "another value": strings.Replace(string(whole), "disk", "risk", 1),
		"an empty value": `{"value": null, "sha256": ""}`, "other JSON": `[]`, "garbage": "\x00\xff",
		"what another program wrote": `{"holds": []}`}
	for n := range len(whole) - 1 { // the last byte is the newline
		spoilt["cut "+string(whole[:n])] = string(whole[:n])
	}
	for name, text := range spoilt {
		must(t, os.WriteFile(filepath.Join(dir, HoldsFile), []byte(text), 0o600))
		if found, err := c.Load(&got); found || !errors.Is(err, event.ErrGarbled) {
			t.Errorf("%s: found %v, %v", name, found, err)
		}
	}
}
