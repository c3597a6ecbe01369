package resynctest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// Exists says whether p holds anything.
func (w *World) Exists(p resync.Place) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Places[p] != nil, nil
}

// Control reads the control file; a ruined directory has none.
func (w *World) Control(p resync.Place) (topology.Control, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.Places[p]
	if d == nil || d.Content != Whole {
		return topology.Control{}, fmt.Errorf("control file of %s cannot be read", p)
	}
	state := "in production"
	if d.Signal {
		state = "in archive recovery"
	}
	return topology.Control{SystemID: 42, State: state, WasCleanShutdown: d.Clean}, nil
}

// Server says whether a server runs.
func (w *World) Server() (topology.ServerState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server == nil {
		return topology.ServerStopped, nil
	}
	if w.Starting {
		return topology.ServerStarting, nil
	}
	return topology.ServerRunning, nil
}

// ProbeWAL reads Home, else Aside.
func (w *World) ProbeWAL(_ topology.History) (topology.WALProbe, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.Places[resync.Home]
	if d == nil {
		d = w.Places[resync.Aside]
	}
	if d == nil || d.Content != Whole {
		return topology.WALProbe{}, errors.New("no readable WAL")
	}
	p := topology.WALProbe{Shared: true, Beyond: d.Diverged, CommonTLI: 1, Limit: 0x5000000, Own: topology.History{TLI: 1}}
	if d.Over {
		p.Overwritten = 0x5000028
	}
	return p, nil
}

// FreeBytes gives Free.
func (w *World) FreeBytes() (uint64, error) { return w.Free, nil }

// MountPoint gives Mount.
func (w *World) MountPoint() (bool, error) { return w.Mount, nil }

// Stream asks the server.
func (w *World) Stream(context.Context) (topology.SQLFacts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server == nil || w.Starting {
		return topology.SQLFacts{}, errors.New("connection refused")
	}
	f := topology.SQLFacts{InRecovery: !w.writes, Replay: 0x5000100}
	if w.streams() {
		up := Upstream()
		f.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: up.Host, SenderPort: up.Port, Timeline: up.History.TLI}
		w.server.Proven = true
	}
	return f, nil
}

// StopServer stops the server; an immediate stop is no clean one.
func (w *World) StopServer(_ context.Context, keepWAL bool) (topology.Fenced, error) {
	if err := w.op("StopServer"); err != nil {
		return topology.Fenced{}, err
	}
	var f topology.Fenced
	w.change(func() {
		if w.server != nil {
			w.server.Clean = !keepWAL
			f = topology.Fenced{WasRunning: true, Mode: "fast", Took: time.Millisecond}
		}
		w.server = nil
		w.Fences++
	})
	return f, w.late("StopServer")
}

// StartServer starts the server at Home.
func (w *World) StartServer(context.Context) error {
	if err := w.op("StartServer"); err != nil {
		return err
	}
	w.mid("StartServer")
	err := errors.New("no data directory at home")
	w.change(func() {
		d := w.Places[resync.Home]
		switch {
		case w.server != nil:
			err = errors.New("another server might be running")
		case d != nil && d.Content == Whole:
			err = nil
			w.start(d)
		}
	})
	return errors.Join(err, w.late("StartServer"))
}

// Reload changes nothing here: the settings count at once.
func (w *World) Reload(context.Context) error {
	if err := w.op("Reload"); err != nil {
		return err
	}
	w.change(func() {
		if w.streams() {
			w.Starting = false
		}
	})
	return w.late("Reload")
}

// Move renames a place. Home does not move away under a server.
func (w *World) Move(from, to resync.Place) error {
	name := fmt.Sprintf("Move %s %s", from, to)
	if err := w.op(name); err != nil {
		return err
	}
	var err error
	w.change(func() {
		switch {
		case w.Places[from] == nil:
			err = fmt.Errorf("%s is not there", from)
		case w.Places[to] != nil:
			err = fmt.Errorf("%s is taken", to)
		case w.Mount && (from == resync.Home || to == resync.Home):
			err = errors.New("mount point")
		case w.server == w.Places[from]:
			err = errors.New("a server lives there")
		default:
			w.Places[to], w.Places[from] = w.Places[from], nil
		}
	})
	return errors.Join(err, w.late(name))
}

// Remove deletes a place. What it deletes must be saved, and must not be the
// last proven copy (P3, P5).
func (w *World) Remove(p resync.Place) error {
	if err := w.op("Remove " + string(p)); err != nil {
		return err
	}
	w.change(func() {
		d := w.Places[p]
		w.Places[p] = nil
		switch {
		case p == resync.Home:
			w.violate("Home was removed")
		case d == nil:
		case w.server == d:
			w.violate("a directory was removed under its server")
		case d.Unsaved && !w.VaultPart:
			w.violate("P3: a directory with unsaved commits was removed")
		case d.Proven && d.Content == Whole && !w.otherProven():
			w.violate("P5, hazard 47: the last proven copy was removed")
		}
	})
	return w.late("Remove " + string(p))
}

// otherProven says whether some other directory is whole and has streamed.
func (w *World) otherProven() bool {
	for _, d := range w.Places {
		if d != nil && d.Proven && d.Content == Whole {
			return true
		}
	}
	return false
}

// SaveConfig keeps the configuration, which must be the node's own.
func (w *World) SaveConfig(from resync.Place) error {
	if err := w.op("SaveConfig"); err != nil {
		return err
	}
	w.change(func() {
		if d := w.Places[from]; d != nil && d.Content == Whole {
			if !d.OwnConfig {
				w.violate("hazard 10: another node's configuration was saved as this one's")
			}
			w.Config = true
		}
	})
	return w.late("SaveConfig")
}

// RestoreConfig writes it into p.
func (w *World) RestoreConfig(p resync.Place) error {
	if err := w.op("RestoreConfig"); err != nil {
		return err
	}
	w.change(func() {
		if d := w.Places[p]; d != nil {
			d.OwnConfig = true
		}
	})
	return w.late("RestoreConfig")
}
