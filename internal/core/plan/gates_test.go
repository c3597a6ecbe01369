package plan

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// gate is something that can only forbid. Where one is put on a world that was
// about to act, the decision may become milder, and never worse.
type gate struct {
	name string
	set  func(*scene)
	// most is the worst that may still be done; noAction: nothing at all.
	most int
}

const noAction = -1

var gates = []gate{
	{"node on hold", func(s *scene) { s.mem.Holds = []Hold{{Node: 0, Who: "ann"}} }, noAction},
	{"pool on hold", func(s *scene) { s.mem.Holds = []Hold{{Node: topology.NoNode, Who: "ann"}} }, noAction},
	{"watchdog standby", func(s *scene) { s.snap.Pools[0].Watchdog = topology.Watchdog{Enabled: true, Quorum: 1} },
		noAction},
	{"no quorum", func(s *scene) { s.snap.Pools[0].Watchdog = topology.Watchdog{Enabled: true, Leader: true, Quorum: -1} },
		noAction},
	{"Pgpool-II silent", func(s *scene) { s.snap.Pools[0].Err = "timeout" }, noAction},
	{"old view of Pgpool-II", func(s *scene) { s.snap.Pools[0].At = s.now.Add(-time.Hour) }, noAction},
	{"primary silent", func(s *scene) { s.node(1).SQL.Err = "timeout" }, 1},
	// a writer of a line that was left is detached
	{"primary's facts old", func(s *scene) { s.node(1).SQL.At = s.now.Add(-time.Hour) }, 1},
	{"second writer, unrelated line", func(s *scene) {
		f := &s.node(2).SQL
		f.InRecovery, f.Timeline, f.Receiver = false, 3, topology.WALReceiver{}
		s.node(2).Agent.History = hist("1@0/4000000 3")
	}, noAction},
	{"another writer of an unknown line", func(s *scene) {
		f := &s.node(2).SQL
		f.InRecovery, f.Timeline, f.Receiver = false, 3, topology.WALReceiver{}
		s.node(2).Agent.Err = "no answer"
	}, noAction},
	{"parked", func(s *scene) {
		m := s.memory(0)
		m.Parked, m.ParkedAt = codes.RewindFailed, s.now
	}, 2}, // a second primary is stopped, and what is wrong detached, all the same
	{"attached in another Pgpool-II", func(s *scene) {
		p := s.snap.Pools[0]
		p.Nodes = append([]topology.PoolNode(nil), p.Nodes...)
		p.Nodes[0].Status, p.Nodes[0].Quarantine = topology.PoolUp, false
		s.snap.Pools = append(s.snap.Pools, p)
	}, 2},
	{"no agent", func(s *scene) { s.node(0).Agent.Err = "no answer" }, 1},
	{"agent's facts old", func(s *scene) { s.node(0).Agent.At = s.now.Add(-time.Hour) }, 1},
	{"all that overwrites forbidden", func(s *scene) { s.modes(Never) }, 2},
	{"all that overwrites only by consent", func(s *scene) { s.modes(Ask) }, 2},
	{"fence forbidden", func(s *scene) { s.pol.Fence = Never }, 4},
	{"fence only by consent", func(s *scene) { s.pol.Fence = Ask }, 4},
	{"no space", func(s *scene) { s.node(0).Agent.FreeBytes = 0 }, 3},
	{"size unknown", func(s *scene) { s.node(1).SQL.DatabaseBytes, s.node(1).Agent.DataBytes = 0, 0 }, 3},
	{"setting too low", func(s *scene) { s.node(0).Agent.HotStandby = map[string]int{"max_connections": 5} }, 2},
	{"other major version", func(s *scene) { s.node(0).Agent.Version, s.node(0).SQL.Version = 14, 140000 }, 2},
	{"no slot left", func(s *scene) { s.node(1).SQL.Slots = make([]topology.Slot, 10) }, 2},
	{"no sender left", func(s *scene) { s.node(1).SQL.Senders = make([]topology.WALSender, 10) }, 2},
	{"Pgpool-II refuses to detach", func(s *scene) { s.node(0).NoFailover = true }, 4},
	{"backing off", func(s *scene) { m := s.memory(0); m.Attempts, m.LastFailure, m.SeenRun = 1, s.now, "r" }, 2},
	{"just asked for", func(s *scene) {
		m := s.memory(0)
		m.LastResync, m.LastDetach, m.LastFence, m.Fences, m.SeenRun = s.now, s.now, s.now, 1, "r"
	}, 2},
}

func (s *scene) modes(m Mode) {
	s.pol.Methods = map[topology.Method]Mode{topology.MethodRewind: m, topology.MethodDeltaCopy: m,
		topology.MethodBaseBackup: m, topology.MethodCustom: m}
}

// gatesHold puts every gate on the pass in which a cell acted.
func gatesHold(a acted) string {
	for _, g := range gates {
		s := a.scene
		s.mem = a.mem
		s.mem.Nodes = append([]NodeMemory(nil), a.mem.Nodes...)
		s.snap.Nodes = append([]topology.Node(nil), a.scene.snap.Nodes...)
		s.snap.Pools = append([]topology.PoolView(nil), a.scene.snap.Pools...)
		g.set(&s)
		out, ds := Step(s.mem, s.snap, s.pol, s.now)
		if why := breach(s.mem, s.snap, s.pol, s.now, out, ds); why != "" {
			return g.name + ": " + why
		}
		d := ds[0]
		rank := rankOf(d)
		if g.most == noAction && d.Action != None && d.Action != Wait || g.most != noAction && rank > g.most ||
			rank > rankOf(a.d) && d.Action != Detach {
			return fmt.Sprintf("%s: %s turns to %s", g.name, short(a.d), short(d))
		}
	}
	return ""
}

// customHolds puts the operator's own program in the place of what overwrites: it
// is called where that was to be done, and nowhere else.
func customHolds(a acted) string {
	s := a.scene
	s.pol.Custom = true
	out, ds := Step(a.mem, s.snap, s.pol, s.now)
	if why := breach(a.mem, s.snap, s.pol, s.now, out, ds); why != "" {
		return "own program: " + why
	}
	want := a.d.Method
	if want.Destructive() {
		want = topology.MethodCustom
	}
	if d := ds[0]; d.Code == codes.NeedsConsent && a.d.Action == Resync && (a.d.Request.KeepOld ||
		a.d.Request.ProvenTo == 0) {
		return "" // what cannot be saved must not be overwritten in place
	}
	if d := ds[0]; d.Action != a.d.Action || d.Method != want && d.Action == Resync {
		return fmt.Sprintf("own program: %s turns to %s", short(a.d), short(d))
	}
	return ""
}
