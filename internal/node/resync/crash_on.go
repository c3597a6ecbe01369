//go:build crashpoints

package resync

import (
	"os"
	"syscall"
)

// CrashPoint returns a hook for Options.Points. It kills this process with SIGKILL, without any clean-up, at the point
// that CrashEnv names. Where the variable is empty it is nil.
func CrashPoint() func(name string) {
	want := os.Getenv(CrashEnv)
	if want == "" {
		return nil
	}
	return func(name string) {
		if name != want {
			return
		}
		if p, err := os.FindProcess(os.Getpid()); err == nil && p.Signal(syscall.SIGKILL) == nil {
			select {} // until the kernel acts
		}
	}
}
