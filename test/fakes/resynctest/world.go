package resynctest

import (
	"fmt"
	"sync"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// Content says how far a directory can be trusted.
type Content string

// The contents of a directory.
const (
	Whole       Content = "whole"
	HalfRewound Content = "half rewound"
	HalfCopied  Content = "half copied"
	Ruined      Content = "ruined"
)

// Dir is a data directory.
type Dir struct {
	Name    string
	Content Content
	// FromUpstream: rewound or copied, so a server started in it without
	// standby.signal is a second primary on the same timeline.
	FromUpstream bool
	// Diverged: it holds WAL past the switch point. Unsaved: of which the vault
	// has no copy yet.
	Diverged, Unsaved bool
	// Over: WAL of another line was received over its own.
	Over bool
	// Signal is standby.signal; OwnConfig: the configuration is this node's.
	Signal, OwnConfig bool
	// PointsTo is the upstream in its settings.
	PointsTo topology.NodeID
	// Clean: it was shut down. Proven: a server has streamed from it, or it was
	// there from the beginning.
	Clean, Proven bool
}

// Upstream names the primary of the world, node 1 on timeline 2, which left
// timeline 1 at 0/5000000.
func Upstream() topology.Upstream {
	return topology.Upstream{Node: 1, Host: "/run/pg1", Port: 5433, SystemID: 42, History: topology.History{
		TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x5000000}}}}
}

// World is node 0 and what surrounds it. Set the fields before the first call.
type World struct {
	mu     sync.Mutex
	Places map[resync.Place]*Dir
	// server is the directory whose server runs; nil: stopped.
	server *Dir
	writes bool // it runs as a primary
	stray  string
	slots  map[string]bool

	// Mount: Home is a mount point. Gone: the primary does not answer. Changed:
	// it is no longer the one asked for. VaultPart: the vault is incomplete.
	Mount, Gone, Changed, VaultPart bool
	// Starting: the server has not come to a consistent point, and answers nobody
	// before it is reloaded with an upstream that has the WAL.
	Starting bool
	// RewindBlind: pg_rewind sees no divergence, and changes nothing.
	RewindBlind bool
	// Free and Size are bytes; Size is of the primary.
	Free, Size uint64
	// Config: a copy of the node's configuration was saved.
	Config bool

	// FailAt is the number of the operation that fails, from 1; FailLate: only
	// after its effect. Ops counts them.
	FailAt   int
	FailLate bool
	Ops      int
	// OnOp is called before each operation that changes something, and Mid in
	// the middle of those that are not one instant, without any lock held.
	OnOp func(name string)
	Mid  func(name string)

	Trace      []string
	Violations []string
	Fences     int
}

var _ resync.Host = (*World)(nil)

// New is a world whose Home is d; nil: there is none.
func New(d *Dir) *World {
	w := &World{Places: map[resync.Place]*Dir{}, slots: map[string]bool{}, Free: 1 << 40, Size: 1 << 30}
	if d != nil {
		d.Proven = true
		w.Places[resync.Home] = d
	}
	return w
}

// CrashedPrimary is a directory of a killed primary; lost: with commits that no
// standby had.
func CrashedPrimary(lost bool) *Dir {
	return &Dir{Name: "original", Content: Whole, OwnConfig: true, PointsTo: topology.NoNode, Diverged: lost, Unsaved: lost}
}

// StoppedStandby is a standby of node 2 that was stopped.
func StoppedStandby() *Dir {
	return &Dir{Name: "original", Content: Whole, OwnConfig: true, PointsTo: 2, Signal: true, Clean: true}
}

// violate notes a broken promise.
func (w *World) violate(format string, args ...any) {
	w.Violations = append(w.Violations, fmt.Sprintf(format, args...)+fmt.Sprintf(" (after %v)", w.Trace))
}

// check looks at what must be true at every moment.
func (w *World) check() {
	if d := w.Places[resync.Home]; d != nil {
		if d.Content == HalfCopied || d.Content == HalfRewound {
			w.violate("P4: a %s directory is at home", d.Content)
		}
		if d.FromUpstream && !d.Signal {
			w.violate("P4, hazard 9: a rewound or copied directory is at home without standby.signal")
		}
	}
	if w.server != nil && w.server.Content != Whole && w.server.Content != Ruined {
		w.violate("P4, hazards 6 and 46: a server runs in a %s directory", w.server.Content)
	}
}

// op begins an operation that changes something: it counts, may fail, and must
// not happen while a program of a dead agent is still at work (hazard 7).
func (w *World) op(name string) error {
	if w.OnOp != nil {
		w.OnOp(name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Ops++
	w.Trace = append(w.Trace, name)
	if w.stray != "" && name != "KillStrays" {
		w.violate("hazard 7: %s while a %s of a dead agent still runs", name, w.stray)
	}
	w.check()
	if w.Ops == w.FailAt && !w.FailLate {
		return fmt.Errorf("%s: injected failure", name)
	}
	return nil
}

// late is the failure after the effect.
func (w *World) late(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.check()
	if w.Ops == w.FailAt && w.FailLate {
		return fmt.Errorf("%s: injected late failure", name)
	}
	return nil
}

// change makes an instant effect under the lock and looks at the promises.
func (w *World) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.check()
}

func (w *World) mid(name string) {
	if w.Mid != nil {
		w.Mid(name)
	}
}

// start is what a postmaster in d does.
func (w *World) start(d *Dir) {
	w.server, w.writes = d, !d.Signal
	d.Clean = false
	if d.Content == HalfCopied || d.Content == HalfRewound {
		w.violate("P4: a server was started in a %s directory", d.Content)
	}
	if w.writes {
		if d.FromUpstream {
			w.violate("P4, hazard 9: a second primary was started from a rewound or copied directory")
		}
		d.Diverged, d.Unsaved = true, true
	}
}

// OutsideStart is somebody who starts whatever stands at Home. It says whether
// there was something to start.
func (w *World) OutsideStart() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.Places[resync.Home]
	if d == nil || w.server != nil || d.Content == Ruined {
		return false
	}
	w.Trace = append(w.Trace, "outside start")
	w.start(d)
	return true
}

// streams says whether the server streams from the primary.
func (w *World) streams() bool {
	d := w.server
	return d != nil && !w.writes && !d.Diverged && d.Content == Whole && d.PointsTo == Upstream().Node && !w.Gone && len(w.slots) > 0
}

// View is what a planner would want to know of the world.
type View struct {
	Home, Aside, New, Old *Dir
	Running, Writes       bool
	Streams               bool
}

// View copies the present state.
func (w *World) View() View {
	w.mu.Lock()
	defer w.mu.Unlock()
	get := func(p resync.Place) *Dir {
		if d := w.Places[p]; d != nil {
			c := *d
			return &c
		}
		return nil
	}
	return View{Home: get(resync.Home), Aside: get(resync.Aside), New: get(resync.New), Old: get(resync.Old),
		Running: w.server != nil, Writes: w.writes && w.server != nil, Streams: w.streams()}
}

// Broken returns the violations so far.
func (w *World) Broken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.Violations...)
}
