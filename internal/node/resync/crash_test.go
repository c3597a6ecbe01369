package resync_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/repool/repool/internal/node/resync"
)

// crashProgram builds testdata/crash with the given arguments of go build.
func crashProgram(t *testing.T, args ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "crash")
	args = append(append([]string{"build", "-o", path}, args...), "./testdata/crash")
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return path
}

// pass runs the program past two points, armed for the second.
func pass(t *testing.T, program string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "adopt:confirm:before", "rewind:rewind:marked", "end:before")
	cmd.Env = append(os.Environ(), resync.CrashEnv+"=rewind:rewind:marked")
	b, err := cmd.Output()
	return string(b), err
}

// TestCrashPointKills: a program built with the tag is gone at the point that the variable names, and at no other, by
// SIGKILL and without its deferred calls.
func TestCrashPointKills(t *testing.T) {
	t.Parallel()
	out, err := pass(t, crashProgram(t, "-tags", "crashpoints"))
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the program ended with %v", err)
	}
	if st, ok := exit.Sys().(syscall.WaitStatus); !ok || !st.Signaled() || st.Signal() != syscall.SIGKILL {
		t.Errorf("the program ended with %v", exit)
	}
	if want := "adopt:confirm:before\nrewind:rewind:marked\n"; out != want {
		t.Errorf("it passed %q, want %q", out, want)
	}
}

// TestNoCrashPointWithoutTheTag: a program built without the tag does not even contain the variable's name.
func TestNoCrashPointWithoutTheTag(t *testing.T) {
	t.Parallel()
	program := crashProgram(t)
	out, err := pass(t, program)
	if want := "adopt:confirm:before\nrewind:rewind:marked\nend:before\na deferred call\n"; err != nil || out != want {
		t.Errorf("it passed %q and ended with %v, want %q", out, err, want)
	}
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(resync.CrashEnv)) {
		t.Errorf("the program contains %s", resync.CrashEnv)
	}
}
