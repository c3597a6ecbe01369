package vault

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzManifest reads any file as an entry's manifest: the entry is listed, as it
// is or with what is missing, and nothing outside of it is ever named.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"entry":{"id":"e","node":0,"path":"/x"},"files":[{"name":"wal/a","size":2}]}`))
	f.Add([]byte(`{"files":[{"name":"../../etc/passwd","size":2}]}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "e", "wal"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{manifestName: text, "wal/a": []byte("ab")} {
			if err := os.WriteFile(filepath.Join(dir, "e", name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := readManifest(dir, "e"); err == nil {
			for _, k := range m.Files {
				if p := filepath.Join(dir, "e", k.Name); !strings.HasPrefix(p+"/", filepath.Join(dir, "e")+"/") {
					t.Errorf("%q leads to %s", k.Name, p)
				}
			}
		}
		all, err := List(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Path != filepath.Join(dir, "e") || e.ID != "e" {
				t.Errorf("entry %q at %q", e.ID, e.Path)
			}
		}
	})
}
