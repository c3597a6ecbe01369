package check

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestPgpoolOwnerByItsPidFile holds that the user comes from the process that
// the pid file names, and not from a guess.
func TestPgpoolOwnerByItsPidFile(t *testing.T) {
	t.Parallel()
	me := identityOf(uint32(os.Geteuid()))
	for name, tc := range map[string]struct {
		pid     string
		guessed bool
	}{
		"as Pgpool-II writes it": {fmt.Sprintf("%d\x00", os.Getpid()), false},
		"a plain line":           {fmt.Sprintf("%d\n", os.Getpid()), false},
		"no number":              {"pgpool\n", true},
		"negative":               {"-1\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pidFile, conf := filepath.Join(dir, "pgpool.pid"), filepath.Join(dir, "pgpool.conf")
			if err := os.WriteFile(pidFile, []byte(tc.pid), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(conf, []byte("pid_file_name = '"+pidFile+"'\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			got := PgpoolOwner(conf)
			want := me.Name
			if tc.guessed {
				want = "postgres"
			}
			if got.Name != want {
				t.Errorf("got %+v, want %s", got, want)
			}
		})
	}
}
