package resync_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/repool/repool/internal/node/resync"
)

// TestCrashAtKills: the process is gone at the point, by SIGKILL, without a
// deferred call of its own. The child is this test once more.
func TestCrashAtKills(t *testing.T) {
	t.Parallel()
	if name := os.Getenv(resync.CrashEnv); name != "" {
		defer os.Exit(0)
		hook := resync.CrashAt(name)
		hook("adopt:confirm:before")
		hook(name)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashAtKills$")
	cmd.Env = append(os.Environ(), resync.CrashEnv+"=rewind:rewind:marked")
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("the child ended with %v", err)
	}
	st, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !st.Signaled() || st.Signal() != syscall.SIGKILL {
		t.Errorf("the child ended with %v", exit)
	}
}
