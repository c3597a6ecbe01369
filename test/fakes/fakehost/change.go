package fakehost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

func nothing() error { return nil }

// StopServer stops the node's server, fast or at once.
func (h *Host) StopServer(_ context.Context, keepWAL bool) (f topology.Fenced, err error) {
	err = h.Process.Act("StopServer", 150*time.Millisecond, func() error {
		s := h.Node.Server
		if s == nil {
			return nil
		}
		f = topology.Fenced{WasRunning: true, Mode: "fast", Took: 100 * time.Millisecond}
		h.Process.Stops(s)
		if s.Frozen || keepWAL {
			f.Mode = "immediate"
			h.Pool.Kill(h.Node)
			return nil
		}
		h.Pool.Stop(h.Node)
		return nil
	})
	return f, err
}

// StartServer starts the server at home and waits until it accepts connections.
func (h *Host) StartServer(ctx context.Context) error {
	took := h.Pool.Startup
	start := func() error { return h.Pool.Start(h.Node, true, took) }
	if err := h.Process.Act("StartServer", 20*time.Millisecond, nothing, start); err != nil {
		return err
	}
	if err := h.Process.Wait(ctx, took, 2*took); err != nil {
		return err
	}
	return h.Process.Look(func() error {
		if !h.Node.Accepting() {
			return errors.New("the server has ended")
		}
		return nil
	})
}

// Reload makes the running server take its settings, which here count at once.
func (h *Host) Reload(context.Context) error {
	return h.Process.Act("Reload", 5*time.Millisecond, nothing)
}

// Move renames a place, never under a server.
func (h *Host) Move(from, to resync.Place) error {
	return h.Process.Act(fmt.Sprintf("Move %s to %s", from, to), 10*time.Millisecond, func() error {
		pl := h.Node.Places
		switch {
		case pl[from] == nil:
			return fmt.Errorf("%s is not there", from)
		case h.Node.runsIn(pl[from]):
			return fmt.Errorf("a PostgreSQL server works in %s", from)
		case pl[to] != nil:
			return fmt.Errorf("%s is taken", to)
		}
		pl[to], pl[from] = pl[from], nil
		return nil
	})
}

// Remove deletes a place.
func (h *Host) Remove(p resync.Place) error {
	return h.Process.Act("Remove "+string(p), 30*time.Millisecond, func() error {
		d := h.Node.Places[p]
		switch {
		case d == nil:
			return nil
		case h.Node.runsIn(d):
			return errors.New("a PostgreSQL server works in it")
		}
		h.Pool.removes(h.Node, p, d)
		h.Node.Places[p] = nil
		return nil
	})
}

// EmptyTrash has nothing to do: what is removed is gone.
func (h *Host) EmptyTrash(context.Context, time.Duration) error { return nil }

// SaveConfig keeps the configuration, which must be the node's own (hazard 10).
func (h *Host) SaveConfig(from resync.Place) error {
	return h.Process.Act("SaveConfig", 10*time.Millisecond, func() error {
		d := h.Node.Places[from]
		if d == nil || d.Content != Whole {
			return errors.New("no directory to save from")
		}
		if !d.OwnConfig {
			h.Pool.Violate("P4", "another node's configuration is saved as node %d's", h.Node.ID)
		}
		h.Node.Config = true
		return nil
	})
}

// RestoreConfig writes it into p.
func (h *Host) RestoreConfig(p resync.Place) error {
	return h.Process.Act("RestoreConfig", 10*time.Millisecond, func() error {
		d := h.Node.Places[p]
		if d == nil || !h.Node.Config {
			return errors.New("nothing to restore, or nowhere")
		}
		d.OwnConfig = true
		return nil
	})
}

// WriteStandby writes the settings of a standby of up into p, then standby.signal. A server that is not a standby must
// not run on it.
func (h *Host) WriteStandby(p resync.Place, up topology.Upstream, slot, _ string) error {
	return h.Process.Act("WriteStandby", 10*time.Millisecond, func() error {
		d := h.Node.Places[p]
		switch {
		case d == nil || d.Content != Whole:
			return fmt.Errorf("%s has no directory to write to", p)
		case h.Node.runsIn(d) && !d.Signal:
			return errors.New("a server that is not a standby runs on it")
		case h.Node.Full:
			return errFull
		}
		d.Upstream, d.Slot, d.Spelled, d.App, d.Obscure = up.Node, slot, "", "", false
		return nil
	}, func() error {
		if d := h.Node.Places[p]; d != nil {
			d.Signal = true
		}
		return nil
	})
}

// DropSlots drops idle slots of a standby that streams. One that a standby would follow through is missed by it: a
// slot that is merely idle for a moment must not go.
func (h *Host) DropSlots(_ context.Context, names []string) (dropped []string, err error) {
	err = h.Process.Act("DropSlots", 10*time.Millisecond, func() error {
		n := h.Node
		if !n.Accepting() {
			return ErrRefused
		}
		if n.Server.Primary || !n.Server.Streaming {
			return nil
		}
		for _, name := range names {
			if n.Server.Dir.Slots[name] == nil || h.Pool.Uses(n, name) {
				continue
			}
			delete(n.Server.Dir.Slots, name)
			dropped = append(dropped, name)
		}
		return nil
	})
	return dropped, err
}

// KillLeftovers ends what dead agents left running.
func (h *Host) KillLeftovers(context.Context) error {
	return h.Process.Act("KillLeftovers", 10*time.Millisecond, func() error {
		h.Node.Stray = ""
		return nil
	})
}

// Custom runs the operator's command.
func (h *Host) Custom(context.Context, topology.RunRequest) error {
	return h.Process.Act("Custom", 10*time.Millisecond, func() error {
		if h.Node.Command == nil {
			return errors.New("no resync_command is set")
		}
		return h.Node.Command()
	})
}
