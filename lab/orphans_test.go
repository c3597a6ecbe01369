package lab

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// TestOrphansAreCollectedAndOwnChildrenAreNot starts a child of its own that
// nobody waits for yet, and a grandchild whose parent ends at once.
func TestOrphansAreCollectedAndOwnChildrenAreNot(t *testing.T) {
	t.Parallel()
	l := &Lab{opts: Options{Log: io.Discard}}
	l.adoptOrphans()
	defer func() {
		for _, stop := range l.stops {
			stop()
		}
	}()
	own := exec.Command("/bin/sh", "-c", "exit 7")
	must(t, own.Start())
	out, err := exec.Command("/bin/sh", "-c", "sleep 0.1 >&2 & echo $!").Output()
	must(t, err)
	pid := strings.TrimSpace(string(out))
	must(t, WaitFor(limited(t), "the orphan to vanish", func(context.Context) error {
		if exists("/proc/" + pid) {
			return errors.New("it is there")
		}
		return nil
	}))
	var exit *exec.ExitError
	if err := own.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("the own child: %v, want exit status 7", err)
	}
}
