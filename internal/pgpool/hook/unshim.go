package hook

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/repool/repool/internal/config"
)

// Removal is a script of repool's that is in a directory, and what is put back in its place.
type Removal struct {
	Path string
	// Backup is the script that stood there before; empty: none.
	Backup string
}

// InstalledShims lists the scripts of repool's in the directories, under every name that InstallShims knows.
func InstalledShims(dirs []string) ([]Removal, error) {
	var out []Removal
	for _, dir := range dirs {
		for _, s := range Shims("/", "") {
			path := filepath.Join(dir, s.Name)
			info, err := os.Lstat(path)
			if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
				continue
			}
			var text []byte
			if err == nil {
				text, err = os.ReadFile(path)
			}
			if err != nil {
				return nil, fmt.Errorf("look for repool's scripts: %w", err)
			}
			if !bytes.Contains(text, []byte(config.ShimMark)) {
				continue
			}
			r := Removal{Path: path}
			kept, err := filepath.Glob(globQuote(path) + beforeRepool + "*")
			if err != nil {
				return nil, fmt.Errorf("look for repool's scripts: %w", err)
			}
			if len(kept) > 0 {
				r.Backup = kept[len(kept)-1] // the newest: their names end in the time
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// Remove takes the script away, or puts the one from before back in one step.
func (r Removal) Remove() error {
	if r.Backup != "" {
		return os.Rename(r.Backup, r.Path)
	}
	return os.Remove(r.Path)
}

// globQuote makes a path match itself only.
func globQuote(path string) string {
	var b bytes.Buffer
	for _, c := range []byte(path) {
		if bytes.IndexByte([]byte(`\*?[`), c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
