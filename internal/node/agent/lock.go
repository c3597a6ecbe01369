package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/repool/repool/internal/node/agentapi"
)

// lockWait is how long an order waits for one of another process.
const lockWait = 2 * time.Second

// fileLock is the work directory's lock file: flock excludes other agent processes,
// and is released when its process dies. Child processes do not inherit it.
type fileLock struct {
	path string
	file *os.File // nil: not held
}

func newFileLock(workDir string) *fileLock {
	return &fileLock{path: filepath.Join(workDir, "lock")}
}

// Take waits as long as patience for the lock; agentapi.ErrLocked names who has
// it. The caller must not hold it already.
func (l *fileLock) Take(ctx context.Context, patience time.Duration) error {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the node's lock: %w", err)
	}
	deadline := time.Now().Add(patience)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return errors.Join(fmt.Errorf("lock %s: %w", l.path, err), f.Close())
		}
		if !time.Now().Before(deadline) {
			return errors.Join(fmt.Errorf("%s holds the node: %w", l.Owner(), agentapi.ErrLocked), f.Close())
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
	// The pid is for people and Owner; the lock itself is the kernel's.
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", l.path, err), f.Close())
		}
	}
	l.file = f
	return nil
}

// Release gives up the lock.
func (l *fileLock) Release() error {
	f := l.file
	l.file = nil
	if f == nil {
		return nil
	}
	// Closing is not enough: a child between fork and exec has the file open too.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); err != nil {
		return errors.Join(fmt.Errorf("unlock %s: %w", l.path, err), f.Close())
	}
	return f.Close()
}

// Busy says whether some process holds the lock now.
func (l *fileLock) Busy() bool {
	f, err := os.Open(l.path)
	if err != nil {
		return false
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// Owner names the holder, as far as the file tells.
func (l *fileLock) Owner() string {
	b, err := os.ReadFile(l.path)
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "the agent process " + pid
	}
	return "another agent process"
}
