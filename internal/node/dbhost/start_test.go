package dbhost

import (
	"os"
	"path/filepath"
	"testing"
)

// An external process starts a server while a killed one's lock file is removed: the
// new server's own must stay, or that server ends within a minute.
func TestRemoveLockTakesOnlyWhatWasSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seen, now string
		kept      bool
	}{
		"the killed server's":                  {"17\n/data\n", "17\n/data\n", false},
		"a new server's, with another process": {"17\n/data\n", "4711\n/data\n", true},
		"none any more":                        {"17\n/data\n", "", false},
	} {
		dir := t.TempDir()
		lock := filepath.Join(dir, pidFile)
		if c.now != "" {
			writeFile(t, lock, c.now)
		}
		if err := removeLock(dir, []byte(c.seen)); (err != nil) != c.kept {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(lock); c.kept != (err == nil) || string(b) != c.now && c.kept {
			t.Errorf("%s: the lock file is %q, %v", name, b, err)
		}
		if _, err := os.Stat(lock + ".stale"); err == nil {
			t.Errorf("%s: something is left beside it", name)
		}
	}
}
