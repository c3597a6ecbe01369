package dbhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/process"
	"github.com/repool/repool/internal/node/resync"
)

// Server looks for a postmaster of the node at Home and at InRepair. Children
// that outlive a killed postmaster count as a server that is stopping: the
// directory is still in use.
func (h *Host) Server() (topology.ServerState, error) {
	for _, p := range []resync.Place{resync.Home, resync.InRepair} {
		state, _, err := h.serverIn(p)
		if err != nil {
			return topology.ServerUnknown, err
		}
		if state != topology.ServerStopped {
			return state, nil
		}
	}
	return topology.ServerStopped, nil
}

// serverIn is the state of the server in one place.
func (h *Host) serverIn(p resync.Place) (topology.ServerState, pgdata.PostmasterPID, error) {
	dir := h.path(p)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && p != resync.Home {
		return topology.ServerStopped, pgdata.PostmasterPID{}, nil // spares a look at every process
	}
	state, pm, err := pgdata.ServerState(dir)
	if err != nil {
		return topology.ServerUnknown, pm, fmt.Errorf("look for the server: %w", err)
	}
	if state != topology.ServerStopped {
		return state, pm, nil
	}
	left, err := pgdata.ServerProcesses(dir)
	if err != nil {
		return topology.ServerUnknown, pm, fmt.Errorf("look for the server: %w", err)
	}
	if len(left) > 0 {
		return topology.ServerStopping, pm, nil
	}
	return topology.ServerStopped, pm, nil
}

// Sending says whether the node's server has a WAL sender process, by the title
// that PostgreSQL gives it ("postgres: [cluster name: ]walsender …").
func (h *Host) Sending() (bool, error) {
	servers, err := pgdata.ServerProcesses(h.home)
	if err != nil {
		return false, fmt.Errorf("look for WAL senders: %w", err)
	}
	return slices.ContainsFunc(servers, func(p process.Process) bool {
		return strings.Contains(p.Title(), "walsender ")
	}), nil
}

// Reload makes the running server read its configuration again. One that has taken
// a timeline for its target which was set aside since is restarted.
func (h *Host) Reload(ctx context.Context) error {
	pm, alive, err := pgdata.PostmasterAlive(h.home)
	if err != nil {
		return fmt.Errorf("reload the server: %w", err)
	}
	if !alive {
		return fail(codes.StartFailed, "start the server first", "reload the server: it does not run in %s", h.home)
	}
	if h.chasesUnfinished(pm) {
		return h.restart(ctx)
	}
	if err := unix.Kill(pm.PID, unix.SIGHUP); err != nil {
		return fmt.Errorf("reload the server (process %d): %w", pm.PID, err)
	}
	return nil
}

// localAddress is where the node's own server listens: the host from the
// configuration, or else what the running server itself says of its socket and
// port. An empty host is the default socket directory.
func (h *Host) localAddress() (host string, port int, err error) {
	host, port = h.o.Host, h.o.Port
	pm, alive, err := pgdata.PostmasterAlive(h.home)
	if err != nil {
		return "", 0, err
	}
	if alive && pm.Port != 0 {
		port = pm.Port
	}
	if host == "" && alive {
		switch {
		case pm.SocketDir != "" && filepath.IsAbs(pm.SocketDir):
			host = pm.SocketDir
		case pm.ListenAddr == "*" || pm.ListenAddr == "":
			host = "localhost"
		default:
			host = pm.ListenAddr
		}
	}
	if port == 0 {
		port = 5432
	}
	return host, port, nil
}
