package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
)

// lockPatience is how long to wait for a lock that is taken. A program that a killed controller was just starting holds
// its lock until it has called exec, and a service manager may be that quick.
const lockPatience = 2 * time.Second

// lockStateDir makes the state directory, and this the only controller with it.
func lockStateDir(ctx context.Context, dir string) (unlock func() error, err error) {
	if err := ownStateDir(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("make state directory: %w", err),
			"set controller.state_dir, or make it and give it to the user that runs repool")
	}
	path := filepath.Join(dir, "serve.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("open lock: %w", err),
			"the state directory must be writable for the user that runs repool")
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			err := exit.New(exit.Refused, "another controller runs with the state directory %s", dir)
			return nil, errors.Join(err, f.Close())
		}
	}
	return f.Close, nil // closing the only descriptor ends the lock
}

// ownStateDir refuses a state directory that belongs to another user.
func ownStateDir(dir string) error {
	if owner, other := otherOwner(dir); other {
		return exit.With(exit.Usage, fmt.Errorf("the state directory %s belongs to user id %d and this process runs as %d",
			dir, owner, os.Geteuid()),
			"run repool as the directory's owner, such as: sudo -u postgres repool …, or set controller.state_dir")
	}
	return nil
}

// mayWorkOn refuses a process that does not run as the data directory's owner:
// files of another owner would keep the server, or the real agent, from starting.
func mayWorkOn(n *config.NodeConf) error {
	for _, dir := range []string{n.DataDir, n.WorkDir} {
		if owner, other := otherOwner(dir); other {
			return exit.With(exit.Usage, fmt.Errorf("node %d: %s belongs to user id %d and this process runs as %d",
				n.ID, dir, owner, os.Geteuid()),
				"run repool as the owner of the data directory, such as: sudo -u postgres repool …")
		}
	}
	return nil
}

// otherOwner is the owner of dir where that is not the user of this process. What
// is missing has no owner: whoever needs it reports that.
func otherOwner(dir string) (uid uint32, other bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return 0, false
	}
	return st.Uid, true
}
