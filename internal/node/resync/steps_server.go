package resync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
)

// look is how often a server that is coming up is looked at.
const look = 20 * time.Millisecond

// saveConfig keeps the node's own configuration before a copy of another
// node's can replace it (hazard 10).
func saveConfig() Step {
	return Step{Name: "save-config", Code: codes.ConfigMissing,
		done: func(_ context.Context, r *run) (string, bool, error) {
			p, ok, err := r.data()
			switch {
			case err != nil:
				return "", false, err
			case !ok:
				return "there is no directory; the copy kept earlier is used", true, nil
			case p == InRepair && r.state.repair() != journal.RepairWhole:
				return "the directory is half done; the copy kept earlier is used", true, nil
			}
			return "", false, nil
		},
		do: func(_ context.Context, r *run) (string, error) {
			p, _, err := r.data()
			if err != nil {
				return "", err
			}
			err = r.Host.SaveConfig(p)
			if err != nil && r.req.Method == topology.MethodBaseBackup {
				// A ruined directory is what base backups are for.
				return "not saved, the copy kept earlier is used: " + err.Error(), nil
			}
			return "", err
		}}
}

// restoreConfig writes the node's own configuration into what was copied.
func restoreConfig() Step {
	return Step{Name: "restore-config", Code: codes.ConfigMissing, Bound: true,
		do: func(_ context.Context, r *run) (string, error) {
			p, err := r.work()
			if err != nil {
				return "", err
			}
			return "", r.Host.RestoreConfig(p)
		}}
}

// restoreRewound does the same for a directory that an earlier run rewound and
// had no time to finish.
func restoreRewound() Step {
	s := restoreConfig()
	s.done = func(_ context.Context, r *run) (string, bool, error) {
		home, err := r.Host.Exists(Home)
		return "", home || r.state.repair() != journal.RepairRewound, err
	}
	return s
}

// writeStandby makes the directory under work a standby of the upstream.
func writeStandby() Step {
	return Step{Name: "write-standby", Code: codes.SettingsFailed, Bound: true,
		do: func(_ context.Context, r *run) (string, error) {
			p, err := r.work()
			if err != nil {
				return "", err
			}
			return "", r.Host.WriteStandby(p, r.req.Upstream, r.req.Slot, r.req.AppName)
		}}
}

// writeSettings points a stopped standby to the upstream.
func writeSettings() Step {
	s := writeStandby()
	s.Name, s.Bound = "write-settings", false
	s.do = func(_ context.Context, r *run) (string, error) {
		p, err := r.work()
		if err != nil {
			return "", err
		}
		return "", r.Host.WriteStandby(p, r.req.Upstream, r.req.Slot, r.req.AppName)
	}
	return s
}

// writeRunningSettings points a running standby to the upstream.
func writeRunningSettings() Step {
	s := writeSettings()
	write := s.do
	s.do = func(ctx context.Context, r *run) (string, error) {
		st, err := r.Host.Server()
		if err != nil {
			return "", fmt.Errorf("look for the server: %w", err)
		}
		if st == topology.ServerStarting {
			// A standby that has not replayed to a consistent point answers no query, and may
			// wait endlessly for WAL of an upstream that is gone. It obeys a reload.
			return r.pointStarting(ctx, write)
		}
		if st != topology.ServerRunning {
			return "", Errorf(codes.ServerStopped, "the server is %s, it cannot follow", stateWord(st))
		}
		f, err := r.stream(ctx)
		if err != nil {
			return "", &Error{Code: codes.ServerStopped, Err: fmt.Errorf("ask the server: %w", err)}
		}
		if !f.InRecovery {
			return "", Errorf(codes.ServerRunning, "the server runs as a primary, it cannot follow")
		}
		return write(ctx, r)
	}
	return s
}

// pointStarting points a server that is starting, if it is a standby by its control
// file: one in crash recovery comes up as a primary.
func (r *run) pointStarting(ctx context.Context, write func(context.Context, *run) (string, error)) (string, error) {
	p, err := r.work()
	if err != nil {
		return "", err
	}
	c, err := r.Host.Control(p)
	if err != nil {
		return "", fmt.Errorf("see whether the starting server is a standby: %w", err)
	}
	if c.State != "in archive recovery" {
		return "", Errorf(codes.ServerStopped, "the server is starting %s, it cannot follow", c.State)
	}
	note, err := write(ctx, r)
	return strings.TrimPrefix(note+"; the server is starting still", "; "), err
}

// reload makes the running standby take its new upstream.
func reload() Step {
	return Step{Name: "reload", Code: codes.SettingsFailed, ReadOnly: true, // nothing on disk
		do: func(ctx context.Context, r *run) (string, error) { return "", r.Host.Reload(ctx) }}
}

// stopServer stops the server so that no shutdown checkpoint recycles WAL
// which the vault or the rewind needs (hazard 13).
func stopServer() Step {
	return Step{Name: "stop-server", Code: codes.StopFailed,
		done: func(_ context.Context, r *run) (string, bool, error) {
			st, err := r.Host.Server()
			return "", err == nil && st == topology.ServerStopped, err
		},
		do: func(ctx context.Context, r *run) (string, error) {
			if err := r.lastLook(ctx); err != nil {
				return "", err
			}
			f, err := r.Host.StopServer(ctx, true)
			if err != nil || !f.WasRunning {
				return "", err
			}
			return fmt.Sprintf("%s stop took %s", f.Mode, f.Took.Round(time.Millisecond)), nil
		}}
}

// lastLook asks a copy that had not streamed yet whether it does now, and sees how far
// its WAL goes, so that it is not taken for worthless once it is stopped (P5).
func (r *run) lastLook(ctx context.Context) error {
	if !r.state.record().Unproven {
		return nil
	}
	if p, err := r.Host.ProbeWAL(ctx, r.req.Upstream.History); err == nil && p.Err == "" {
		r.unstreamed = p.End
	}
	f, err := r.stream(ctx)
	if err != nil || !f.InRecovery || f.Receiver.Status != "streaming" {
		return nil //nolint:nilerr // a server that does not answer has proven nothing
	}
	rc, up := f.Receiver, r.req.Upstream
	r.streamed = rc.SenderPort == up.Port && sameHost(rc.SenderHost, up.Host) && rc.Timeline == up.History.TLI
	r.proven()
	return r.state.put()
}

// startServer starts the standby, or accepts one that an external process has
// started meanwhile: what is at Home is whole.
func startServer() Step {
	return Step{Name: "start-server", Code: codes.StartFailed, Breakable: true,
		do: func(ctx context.Context, r *run) (string, error) {
			st, err := r.waitStarting(ctx)
			if err != nil {
				return "", err
			}
			if st == topology.ServerRunning {
				return "it runs already", r.Host.Reload(ctx)
			}
			err = r.Host.StartServer(ctx)
			if err == nil {
				return "", nil
			}
			if st, e := r.waitStarting(ctx); e == nil && st == topology.ServerRunning {
				return "somebody else has started it", nil
			}
			return "", err
		}}
}

// waitStarting waits while a server started by somebody else comes up. Replay
// may take long, so only its end or the run's ends the wait.
func (r *run) waitStarting(ctx context.Context) (topology.ServerState, error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		st, err := r.Host.Server()
		if err != nil {
			return st, fmt.Errorf("look for the server: %w", err)
		}
		if st != topology.ServerStarting {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-tick.C:
		}
	}
}

// waitStreaming waits until the standby streams from the upstream on its
// timeline. It is judged by progress, not by the clock (hazard 44): long
// replay is normal, standing still is not.
func waitStreaming() Step {
	return Step{Name: "wait-streaming", Code: codes.NotStreaming, ReadOnly: true, Breakable: true,
		do: func(ctx context.Context, r *run) (string, error) {
			w := watch{r: r, since: time.Now()}
			tick := time.NewTicker(look)
			defer tick.Stop()
			for {
				streams, err := w.look(ctx)
				if err != nil {
					return "", w.evidence(err)
				}
				if streams {
					r.proven()
					return w.note(), nil
				}
				if time.Since(w.since) >= r.Patience {
					return "", w.late(ctx)
				}
				select {
				case <-ctx.Done():
					return "", ctx.Err()
				case <-tick.C:
				}
			}
		}}
}

// proven notes that the directory at Home has streamed.
func (r *run) proven() {
	r.state.set(func(rec *journal.Record) { rec.Unproven = false })
}

// stream asks the running server, with a deadline.
func (r *run) stream(ctx context.Context) (topology.SQLFacts, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	f, err := r.Host.Stream(ctx)
	if err == nil && f.Err != "" {
		err = errors.New(f.Err)
	}
	return f, err
}
