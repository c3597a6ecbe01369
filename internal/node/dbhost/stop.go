package dbhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/process"
	"github.com/repool/repool/internal/node/resync"
)

// stopPatience is how long each way of stopping gets before the next one.
const stopPatience = 10 * time.Second

// orphanPatience is for processes whose postmaster is dead, or cannot be told
// because its directory was deleted under it: no process receives a signal.
const orphanPatience = time.Second

// stopMode is a way to stop a server.
type stopMode string

const (
	stopFast      stopMode = "fast"      // SIGINT: sessions end, then a checkpoint
	stopImmediate stopMode = "immediate" // SIGQUIT: no checkpoint, WAL is replayed at the next start
	stopKill      stopMode = "kill"      // SIGKILL: postmaster, then its children
)

// StopServer stops the node's server, at Home or InRepair, and proves that no
// process of it is left. It begins with a fast stop, or with an immediate one
// for keepWAL: a shutdown checkpoint would recycle WAL that a rewind needs. A
// frozen server is killed at once, never thawed: thawed, a former primary
// would go on writing before it sees the signal.
func (h *Host) StopServer(ctx context.Context, keepWAL bool) (topology.Fenced, error) {
	begin := time.Now()
	var fenced topology.Fenced
	for _, p := range []resync.Place{resync.Home, resync.InRepair} {
		state, _, err := h.serverIn(p)
		if err != nil {
			return fenced, coded(codes.StopFailed, "", err)
		}
		if state == topology.ServerStopped {
			continue
		}
		fenced.WasRunning = true
		modes := []stopMode{stopFast, stopImmediate, stopKill}
		switch {
		case state == topology.ServerFrozen:
			modes = modes[2:]
		case keepWAL:
			modes = modes[1:]
		}
		mode, err := h.stopIn(ctx, h.path(p), modes)
		fenced.Mode, fenced.Took = string(mode), time.Since(begin)
		if err != nil {
			return fenced, err
		}
		h.log.Info("server stopped", "mode", string(mode), "took", fenced.Took)
	}
	fenced.Took = time.Since(begin)
	return fenced, nil
}

// stopIn stops whatever server works in dir, trying the modes in turn, and
// returns the one that did it.
func (h *Host) stopIn(ctx context.Context, dir string, modes []stopMode) (stopMode, error) {
	var last error
	for _, mode := range modes {
		left, err := pgdata.ServerProcesses(dir)
		if err != nil {
			return mode, coded(codes.StopFailed, "", err)
		}
		if len(left) == 0 {
			return mode, nil
		}
		frozen := slices.ContainsFunc(left, process.Process.Frozen)
		if frozen && mode != stopKill {
			continue // it would not hear any other signal
		}
		last = h.stopBy(ctx, dir, mode)
		if last == nil {
			return mode, nil
		}
		var late *lateError
		if !errors.As(last, &late) {
			return mode, coded(codes.StopFailed, "", last)
		}
	}
	if last == nil {
		return "", nil
	}
	return modes[len(modes)-1], coded(codes.StopFailed,
		"look at its processes (ps, /proc/<pid>/stack): one that ignores SIGKILL waits for a device", last)
}

// stopBy sends the signals of one mode and waits until every process is gone.
func (h *Host) stopBy(ctx context.Context, dir string, mode stopMode) error {
	if mode != stopKill {
		pm, alive, err := pgdata.PostmasterAlive(dir)
		if err != nil {
			return err
		}
		patience := orphanPatience
		if alive {
			patience = stopPatience
			if err := signal(pm.PID, map[stopMode]unix.Signal{stopFast: unix.SIGINT,
				stopImmediate: unix.SIGQUIT}[mode]); err != nil {
				return err
			}
		}
		return poll(ctx, patience, func() (bool, error) { return gone(dir) },
			fmt.Sprintf("the server in %s did not stop within %s of a %s stop", dir, patience, mode))
	}
	return poll(ctx, stopPatience, func() (bool, error) { return killAll(dir) },
		fmt.Sprintf("processes of the server in %s survive SIGKILL", dir))
}

// gone says whether no PostgreSQL process works in dir.
func gone(dir string) (bool, error) {
	left, err := pgdata.ServerProcesses(dir)
	return len(left) == 0, err
}

// killAll kills the postmaster, so that it starts no more children, then what
// is left, and says whether nothing was.
func killAll(dir string) (bool, error) {
	pm, alive, err := pgdata.PostmasterAlive(dir)
	if err != nil {
		return false, err
	}
	if alive {
		return false, signal(pm.PID, unix.SIGKILL)
	}
	left, err := pgdata.ServerProcesses(dir)
	if err != nil {
		return false, err
	}
	for _, p := range left {
		if err := signal(p.PID, unix.SIGKILL); err != nil {
			return false, err
		}
	}
	return len(left) == 0, nil
}

// signal sends sig; a process that has gone meanwhile is fine.
func signal(pid int, sig unix.Signal) error {
	if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fail(codes.StopFailed, "run the agent as the server's owner", "send %s to server process %d: %w", sig, pid,
			err)
	}
	return nil
}
