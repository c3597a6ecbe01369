package hook

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/config"
)

// TestTryLeavesNothing holds that a hook that is tried changes nothing, and that a
// state directory that is missing is said.
func TestTryLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &config.Pool{}
	p.Controller.StateDir = dir
	var out bytes.Buffer
	if err := Try(p, &out); err != nil || strings.TrimSpace(out.String()) != TryAnswer {
		t.Errorf("got %v, %q", err, out.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	p.Controller.StateDir = filepath.Join(dir, "gone")
	out.Reset()
	if err := Try(p, &out); err == nil || !strings.Contains(err.Error(), p.Controller.StateDir) || out.Len() != 0 {
		t.Errorf("got %v, %q", err, out.String())
	}
}
