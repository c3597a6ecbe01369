package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// errLocked: another hook, or the controller, is executing a failover.
var errLocked = errors.New("another failover is under way on this machine")

// lockFailover takes the one lock of this machine's failovers, waiting at most
// patience. The lock ends with the process, however it ends.
func lockFailover(ctx context.Context, stateDir string, patience time.Duration) (unlock func(), err error) {
	dir := filepath.Join(stateDir, spoolDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock failover: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "failover.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock failover: %w", err)
	}
	timeout := time.After(patience)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing is what unlocks
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock failover: %w", err)
		}
		select {
		case <-time.After(pollEvery):
		case <-timeout:
			_ = f.Close()
			return nil, errLocked
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("lock failover: %w", ctx.Err())
		}
	}
}
