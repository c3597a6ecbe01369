package resynctest

import (
	"context"
	"errors"
	"fmt"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// WriteStandby writes the settings, then standby.signal.
func (w *World) WriteStandby(p resync.Place, up topology.Upstream, _, _ string) error {
	if err := w.op("WriteStandby"); err != nil {
		return err
	}
	var err error
	w.change(func() {
		d := w.Places[p]
		if d == nil || d.Content != Whole {
			err = fmt.Errorf("%s holds no directory to write to", p)
			return
		}
		d.PointsTo = up.Node
	})
	w.mid("WriteStandby")
	w.change(func() {
		if d := w.Places[p]; d != nil && err == nil {
			d.Signal = true
		}
	})
	return errors.Join(err, w.late("WriteStandby"))
}

// Vault saves what is unsaved.
func (w *World) Vault(_ context.Context, _ topology.RunRequest, from resync.Place, see resync.Progress) (topology.VaultEntry, error) {
	if err := w.op("Vault"); err != nil {
		return topology.VaultEntry{}, err
	}
	see(1, 2)
	e := topology.VaultEntry{ID: "v1", Complete: !w.VaultPart}
	w.change(func() {
		if d := w.Places[from]; d != nil {
			if d.Unsaved {
				e.Commits = 3
			}
			d.Unsaved = false
		}
	})
	return e, w.late("Vault")
}

// RefillWAL has nothing to do here.
func (w *World) RefillWAL(resync.Place, topology.VaultEntry) error {
	return errors.Join(w.op("RefillWAL"), w.late("RefillWAL"))
}

// Settle shuts the directory aside down.
func (w *World) Settle(context.Context) error {
	if err := w.op("Settle"); err != nil {
		return err
	}
	w.begin("settling server")
	w.mid("Settle")
	w.change(func() { w.stray, w.Places[resync.Aside].Clean = "", true })
	return w.late("Settle")
}

// begin notes a program at work, which outlives an agent that dies now.
func (w *World) begin(program string) {
	w.change(func() { w.stray = program })
}

// Rewind needs a directory that was shut down. It is half done from its first
// moment to its last, unless there is nothing to rewind.
func (w *World) Rewind(_ context.Context, _ topology.Upstream, see resync.Progress) (needed bool, err error) {
	if err := w.op("Rewind"); err != nil {
		return false, err
	}
	w.change(func() {
		d := w.Places[resync.Aside]
		switch {
		case d == nil || !d.Clean || d.Content != Whole:
			err = &resync.Error{Code: resync.CodeRewindRefused, Untouched: true, Err: errors.New("target server must be shut down cleanly")}
			return
		case !d.Diverged || w.RewindBlind:
			return
		case d.Unsaved:
			w.violate("P3: unsaved commits were rewound")
		}
		needed = true
		d.Content, d.FromUpstream, d.Signal, d.OwnConfig = HalfRewound, true, false, false
		w.stray = "pg_rewind"
	})
	if err != nil || !needed {
		return false, errors.Join(err, w.late("Rewind"))
	}
	see(1, 2)
	err = w.late("Rewind") // the half-rewound directory stays
	w.change(func() {
		w.stray = ""
		if err == nil {
			d := w.Places[resync.Aside]
			d.Content, d.Diverged = Whole, false
		}
	})
	return true, err
}

// BaseBackup fills New.
func (w *World) BaseBackup(_ context.Context, _ topology.Upstream, slot string, see resync.Progress) error {
	if err := w.op("BaseBackup"); err != nil {
		return err
	}
	w.change(func() {
		if w.Places[resync.New] != nil {
			w.violate("the place of the copy was not empty")
		}
		if !w.slots[slot] {
			w.violate("hazard 37: the copy began before its slot was there")
		}
		w.Places[resync.New] = &Dir{Name: "copy", Content: HalfCopied, FromUpstream: true, PointsTo: topology.NoNode}
		w.stray = "pg_basebackup"
	})
	see(1, 2)
	err := w.late("BaseBackup")
	w.change(func() {
		w.stray = ""
		if err == nil {
			w.Places[resync.New].Content = Whole
		}
	})
	return err
}

// VerifyBackup accepts a whole copy.
func (w *World) VerifyBackup(context.Context) error {
	if err := w.op("VerifyBackup"); err != nil {
		return err
	}
	w.mu.Lock()
	d := w.Places[resync.New]
	w.mu.Unlock()
	if d == nil || d.Content != Whole {
		return errors.New("the copy is not whole")
	}
	return w.late("VerifyBackup")
}

// Custom is an operator's command that makes Home a running standby.
func (w *World) Custom(context.Context, topology.RunRequest) error {
	if err := w.op("Custom"); err != nil {
		return err
	}
	w.change(func() {
		d := w.Places[resync.Home]
		d.Diverged, d.Signal, d.PointsTo = false, true, Upstream().Node
		w.start(d)
	})
	return w.late("Custom")
}

// KillStrays ends the programs of a dead agent.
func (w *World) KillStrays(context.Context) error {
	if err := w.op("KillStrays"); err != nil {
		return err
	}
	w.change(func() { w.stray = "" })
	return w.late("KillStrays")
}

// Inspect gives what a planner looks at first.
func (w *World) Inspect(context.Context) (topology.Inspection, error) {
	v := w.View()
	in := topology.Inspection{Dir: topology.DirMissing, Server: topology.ServerStopped}
	switch {
	case v.Home != nil:
		in.Dir, in.StandbySignal = topology.DirPresent, v.Home.Signal
	case v.Aside != nil:
		in.Dir = topology.DirAside
	}
	if v.Running {
		in.Server = topology.ServerRunning
	}
	return in, nil
}

// RecordEnding answers with the position asked for.
func (w *World) RecordEnding(lsn topology.LSN) (topology.WALRecord, error) {
	return topology.WALRecord{End: lsn}, nil
}

// VaultEntries is empty; VaultReport knows none.
func (w *World) VaultEntries() ([]topology.VaultEntry, error) { return nil, nil }

// VaultReport gives a report that names the entry.
func (w *World) VaultReport(id string) ([]byte, error) { return []byte(`{"id":"` + id + `"}`), nil }

// Link is the world's primary as a resync.UpstreamLink.
type Link struct{ World *World }

var _ resync.UpstreamLink = Link{}

func (l Link) ask(name string) error {
	if err := l.World.op(name); err != nil {
		return err
	}
	if l.World.Gone {
		return errors.New("connection refused")
	}
	return nil
}

// Confirm tells when the primary has changed.
func (l Link) Confirm(context.Context, topology.Upstream) error {
	err := l.ask("Confirm")
	if err == nil && l.World.Changed {
		err = resync.Errorf(resync.CodeUpstreamChanged, "another timeline")
	}
	return err
}

// EnsureSlot makes the slot.
func (l Link) EnsureSlot(_ context.Context, _ topology.Upstream, slot string) error {
	if err := l.ask("EnsureSlot"); err != nil {
		return err
	}
	l.World.change(func() { l.World.slots[slot] = true })
	return l.World.late("EnsureSlot")
}

// Checkpoint does nothing.
func (l Link) Checkpoint(context.Context, topology.Upstream) error { return l.ask("Checkpoint") }

// Size gives the primary's size.
func (l Link) Size(context.Context, topology.Upstream) (uint64, error) {
	return l.World.Size, l.ask("Size")
}

// Position is a little past the switch point.
func (l Link) Position(context.Context, topology.Upstream) (topology.LSN, error) {
	return 0x5000100, l.ask("Position")
}

// Sending is part of agent.Node; the model has no WAL senders.
func (w *World) Sending() (bool, error) { return false, nil }
