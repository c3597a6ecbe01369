package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/node/resync"
)

// TestNoProgramHasCrashPoints: what is shipped does not know the variable that kills an agent in the middle of a run.
func TestNoProgramHasCrashPoints(t *testing.T) {
	t.Parallel()
	bin := programs(t)
	for _, name := range []string{"repool", "repool-lab"} {
		b, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(resync.CrashEnv)) {
			t.Errorf("%s contains %s", name, resync.CrashEnv)
		}
	}
}
