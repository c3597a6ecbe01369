package fakehost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// systemID is that of every directory of a Solo.
const systemID topology.SystemID = 42

// Diverged is where the primary of a Solo left timeline 1.
const Diverged topology.LSN = 0x5000000

// The lines of every Solo: shared ends timeline 1 at Diverged, primaryTip ends timeline 2 of the primary.
var shared, primaryTip = func() (*Record, *Record) {
	w := WAL{Seed: 1}
	r := w.Write(Origin(systemID), Checkpoint, 0x78)
	r = w.Write(r, Other, uint64(Diverged-r.End))
	tip := w.Fork(r, 2)
	tip = w.Write(w.Write(tip, Checkpoint, 0x78), Commit, 0x1000)
	return r, tip
}()

// crashes counts the lines of crashed primaries, which have nothing in common past Diverged.
var crashes atomic.Uint64

// CrashedPrimary is the directory of a killed primary of timeline 1; with lost, it has commits that no standby had.
func CrashedPrimary(lost bool) *Dir {
	d := standing()
	if lost {
		n := crashes.Add(1)
		w := WAL{Seed: 1 + n, written: n << 20}
		tip := w.Write(w.Write(shared, Commit, 0x200), Checkpoint, 0x78)
		tip = w.Write(w.Write(tip, Commit, 0x200), Commit, 0x200)
		d.Begin(systemID, tip)
	}
	return d
}

// StoppedStandby is a standby of node 2 that was stopped.
func StoppedStandby() *Dir {
	d := standing()
	d.Upstream, d.Signal, d.Recovering, d.Clean = 2, true, true, true
	return d
}

func standing() *Dir {
	d := &Dir{Name: "original", Upstream: topology.NoNode, Slots: map[string]*Slot{}}
	d.Begin(systemID, shared)
	return d
}

// Overwrite is a WAL receiver that has written the primary's WAL over the directory's own.
func (d *Dir) Overwrite() { d.Over = primaryTip }

// LoseWAL recycles what the directory has next to Diverged, so that a vault of it is not complete.
func (d *Dir) LoseWAL() { d.From = Diverged + 0x10 }

// OnPrimarysTimeline gives the directory's own line the number of the primary's, as a second promotion does.
func (d *Dir) OnPrimarysTimeline() {
	n := crashes.Add(1)
	w := WAL{Seed: 1 + n, written: n << 20}
	d.Begin(systemID, w.Write(w.Write(w.Fork(shared, 2), Checkpoint, 0x78), Commit, 0x200))
}

// Solo is node 0 and its primary, node 1 on timeline 2, with one agent process at a time. Everything happens at once.
// Set the fields before the first call.
type Solo struct {
	*Host
	mu   sync.Mutex
	pool *Pool

	// FailAt is the number of the operation that fails, from 1; FailLate: only after its effect, or in the middle where
	// it leaves a directory half done. Ops counts them.
	FailAt   int
	FailLate bool
	Ops      int
	// OnOp is called before each operation that changes something, and Mid in the middle of those that are not one
	// instant, without any lock held.
	OnOp func(name string)
	Mid  func(name string)
	// Trace names the operations so far.
	Trace  []string
	broken []string
}

// NewSolo is a pool whose node 0 has d at home; nil: nothing.
func NewSolo(d *Dir) *Solo {
	s := &Solo{}
	s.pool = &Pool{WAL: WAL{Seed: 1, written: 1 << 50}, System: systemID, Violate: s.violate,
		Cut:  func(topology.NodeID, topology.NodeID) bool { return false },
		Note: func(string, ...any) {}}
	for i := range topology.NodeID(3) {
		s.pool.Nodes = append(s.pool.Nodes, NewNode(i, fmt.Sprintf("/run/pg%d", i), 5432+int(i)))
	}
	if d != nil {
		s.pool.Nodes[0].Places[resync.Home] = d
	}
	primary := &Dir{Name: "primary", Upstream: topology.NoNode, Slots: map[string]*Slot{}}
	primary.Begin(systemID, primaryTip)
	s.pool.Nodes[1].Places[resync.Home] = primary
	s.pool.Nodes[1].Server = &Server{Dir: primary, Primary: true, From: topology.NoNode}
	s.Host = &Host{Pool: s.pool, Node: s.pool.Nodes[0], Process: solo{s}}
	s.Node.Command = s.command
	return s
}

// Link is the way to the primary.
func (s *Solo) Link() Upstream { return Upstream{Pool: s.pool, Process: solo{s}} }

// UpstreamOf names the primary of every Solo.
func UpstreamOf() topology.Upstream {
	return topology.Upstream{Node: 1, Host: "/run/pg1", Port: 5433, SystemID: systemID, History: *primaryTip.line}
}

// SetPrimary takes the primary's host away, or brings it back.
func (s *Solo) SetPrimary(up bool) { s.change(func() { s.pool.Nodes[1].Up = up }) }

// SetChanged makes another node than node 1 the primary, or node 1 again.
func (s *Solo) SetChanged(changed bool) {
	s.change(func() { s.pool.Nodes[1].Server.Primary = !changed })
}

// HoldSlot makes a session that is not the node's use its slot on the primary.
func (s *Solo) HoldSlot() {
	s.change(func() {
		held := &Slot{Restart: FirstLSN, Held: true, HeldAt: time.Now()}
		s.pool.Nodes[1].Server.Dir.Slots[topology.SlotName(0)] = held
	})
}

// SetStarting keeps the running server from a consistent point.
func (s *Solo) SetStarting() { s.change(func() { s.Node.Server.Inconsistent = true }) }

// Put puts a directory in a place.
func (s *Solo) Put(p resync.Place, d *Dir) { s.change(func() { s.Node.Places[p] = d }) }

// OutsideStart is a service manager or a person who starts whatever stands at home; a primary that comes up so takes a
// commit at once.
func (s *Solo) OutsideStart() {
	s.change(func() {
		if s.Node.Server != nil || s.pool.Start(s.Node, false, 0) != nil {
			return
		}
		s.Trace = append(s.Trace, "outside start")
		if d := s.Node.Server.Dir; s.Node.Server.Primary {
			d.Tip = s.pool.Write(d.Tip, Commit, 0x100)
			d.Data = d.Tip
		}
	})
}

// command makes the directory at home a copy of the primary and starts it. Like pg_rewind it works under no server.
func (s *Solo) command() error {
	d, from := s.Node.Home(), s.pool.Nodes[1].Server.Dir
	switch {
	case d == nil:
		return errors.New("no directory at home")
	case s.Node.Server != nil:
		return errors.New("a server is running")
	}
	s.pool.destroys(s.Node, d, "replaced by the operator's command")
	own, slot := d.OwnConfig, topology.SlotName(0)
	s.takeCopy(d, from, false)
	d.OwnConfig, d.Signal, d.Upstream = own, true, 1
	if from.Slots[slot] != nil {
		d.Slot = slot
	}
	return s.pool.Start(s.Node, true, 0)
}

// View is what a planner would want to know of node 0. The directories are copies.
type View struct {
	Home, InRepair, New, Old *Dir
	// Running: a server runs. Writes: as a primary. Streams: as a standby, from the primary.
	Running, Writes, Streams bool
}

// View copies the present state.
func (s *Solo) View() (v View) {
	s.change(func() {
		s.flow()
		get := func(p resync.Place) *Dir {
			if d := s.Node.Places[p]; d != nil {
				c := *d
				return &c
			}
			return nil
		}
		srv := s.Node.Server
		v = View{Home: get(resync.Home), InRepair: get(resync.InRepair), New: get(resync.New), Old: get(resync.Old),
			Running: srv != nil, Writes: srv != nil && srv.Primary,
			Streams: srv != nil && srv.Streaming && !srv.Dir.IsDiverged()}
	})
	return v
}

// IsDiverged says whether the directory has WAL that is not the primary's.
func (d *Dir) IsDiverged() bool {
	c := Common(d.Tip, primaryTip)
	return c != d.Tip && c != primaryTip
}

// Broken are the broken promises so far.
func (s *Solo) Broken() (out []string) {
	s.change(func() { out = append(out, s.broken...) })
	return out
}

// Stream lets WAL flow and asks the node's own server.
func (s *Solo) Stream(ctx context.Context) (topology.SQLFacts, error) {
	s.change(s.flow)
	return s.Host.Stream(ctx)
}

// flow is the moment in which a standby takes all that its upstream has.
func (s *Solo) flow() {
	s.pool.Stream(s.Node, 0)
	s.pool.Replay(s.Node, 0)
}

// violate notes a broken promise.
func (s *Solo) violate(promise, format string, args ...any) {
	s.broken = append(s.broken, promise+": "+fmt.Sprintf(format, args...)+fmt.Sprintf(" (after %v)", s.Trace))
}
