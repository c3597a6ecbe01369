package plan

import (
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// The planner's inputs about one node, cut into classes: node 0 is judged, node
// 1 is the primary, node 2 a healthy standby. A cell is one class of each
// dimension. What stands together in one class, and why no more classes are
// needed:
//
//   - Agent, directory, server and signal are one dimension, place: without its
//     agent nothing of the rest is known; and where the directory is not at home
//     no rule asks the server, but that it might be running. DirEmpty is treated
//     as DirMissing by the one function that asks (noDirectory).
//   - Control file and lineage are one dimension, line: checksums are asked for
//     where a rewind is, and a node without control file or with another cluster's
//     is decided before its lineage.
//   - What can only forbid (hold, watchdog, policy, space, slots, …) is not in
//     the product: gates_test.go puts each of them on every cell that acts.
//   - What needs time (grace, patience, rate limits) comes by running each cell
//     through passes, see cellClock.
//   - Who the primary is: lines_test.go.
type cell struct{ sql, place, line, run, status, holder int }

// class is one class of a dimension.
type class struct {
	name string
	set  func(*scene)
}

var dimensions = [6][]class{sqlClasses, placeClasses, lineClasses, runClasses, statusClasses, holderClasses}

var sqlClasses = []class{
	{"silent", func(s *scene) { s.node(0).SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}} }},
	{"streams", func(*scene) {}},
	{"lags", func(s *scene) { s.node(0).SQL.Replay = 0x1000000 }},
	{"recovers", func(s *scene) { s.node(0).SQL.Receiver = topology.WALReceiver{} }},
	{"recovers from another", func(s *scene) {
		s.node(0).SQL.Receiver = topology.WALReceiver{}
		s.node(0).Agent.UpstreamHost = s.node(2).Host
	}},
	{"ahead", func(s *scene) { s.node(0).SQL.Replay += 0x1000 }},
	{"writes", func(s *scene) { s.writes("1", 0x5000200) }},
	{"writes-same", func(s *scene) { s.writes("1@0/5000000 2", 0x5000200) }},
}

// writes makes node 0 accept writes; only what SQL says of it changes.
func (s *scene) writes(line string, at topology.LSN) {
	f := &s.node(0).SQL
	f.InRecovery, f.Timeline, f.Current, f.Receiver = false, hist(line).TLI, at, topology.WALReceiver{}
	s.node(0).Agent.History = hist(line)
}

func place(dir topology.DirState, server topology.ServerState, signal bool) class {
	name := "directory " + word(string(dir)) + ", server " + word(string(server))
	if signal {
		name += ", signal"
	}
	return class{name, func(s *scene) {
		a := &s.node(0).Agent
		a.Dir, a.Server, a.StandbySignal = dir, server, signal
	}}
}

var placeClasses = func() []class {
	all := []class{
		place(topology.DirPresent, topology.ServerRunning, true), // good: the first of each dimension's edges goes here
		{"agent silent", func(s *scene) {
			s.node(0).Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no answer"}}
		}},
	}
	for _, server := range []topology.ServerState{topology.ServerStopped, topology.ServerStarting, topology.ServerStopping,
		topology.ServerFrozen, topology.ServerUnknown} {
		all = append(all, place(topology.DirPresent, server, true), place(topology.DirPresent, server, false))
	}
	all = append(all, place(topology.DirPresent, topology.ServerRunning, false))
	for _, server := range []topology.ServerState{topology.ServerStopped, topology.ServerRunning} {
		all = append(all, place(topology.DirInRepair, server, true), place(topology.DirInRepair, server, false))
		for _, dir := range []topology.DirState{topology.DirMissing, topology.DirForeign, topology.DirUnknown} {
			all = append(all, place(dir, server, false))
		}
	}
	return all
}()

// line makes a class of lineage and control file.
func line(name string, change func(*topology.Lineage, *topology.Inspection)) class {
	return class{name, func(s *scene) {
		n := s.node(0)
		n.Lineage = topology.Lineage{Source: topology.Source{At: s.now}, Primary: 1, Point: 0x5000000, TLI: 1,
			Proof: "as the cell says"}
		change(&n.Lineage, &n.Agent)
	}}
}

func diverged(l *topology.Lineage) {
	l.Verdict, l.OwnBytes, l.RewindWAL = topology.LineageDiverged, 9000, true
}

var lineClasses = []class{
	line("on-line", func(l *topology.Lineage, _ *topology.Inspection) { l.Verdict = topology.LineageOnLine }),
	line("never compared", func(l *topology.Lineage, _ *topology.Inspection) { *l = topology.Lineage{} }),
	line("unknown", func(*topology.Lineage, *topology.Inspection) {}),
	line("unknown, gap", func(l *topology.Lineage, _ *topology.Inspection) { l.StreamGap = true }),
	line("on-line, gap", func(l *topology.Lineage, _ *topology.Inspection) {
		l.Verdict, l.StreamGap = topology.LineageOnLine, true
	}),
	line("on-line long ago", func(l *topology.Lineage, _ *topology.Inspection) {
		l.Verdict, l.At = topology.LineageOnLine, l.At.Add(-time.Hour)
	}),
	line("diverged from another node", func(l *topology.Lineage, _ *topology.Inspection) { diverged(l); l.Primary = 2 }),
	line("diverged", func(l *topology.Lineage, _ *topology.Inspection) { diverged(l) }),
	line("diverged, WAL gone", func(l *topology.Lineage, _ *topology.Inspection) { diverged(l); l.RewindWAL = false }),
	line("diverged, same timeline",
		func(l *topology.Lineage, _ *topology.Inspection) { diverged(l); l.SameTimeline = true }),
	line("diverged, no checksums", func(l *topology.Lineage, a *topology.Inspection) { diverged(l); checksums(a, false) }),
	{"on-line, forked before", func(s *scene) {
		n := s.node(0)
		n.Agent.DataID = "own"
		n.Lineage = topology.Lineage{Source: topology.Source{At: s.now}, Primary: 1, Verdict: topology.LineageOnLine,
			Point: 0x5000000, TLI: 1, DataID: "own", Proof: "as the cell says"}
		s.memory(0).Fork = Fork{DataID: "own", Primary: 1, Point: 0x4000000, TLI: 1, Proof: "as the cell says"}
	}},
	line("unrelated", func(l *topology.Lineage, _ *topology.Inspection) { l.Verdict = topology.LineageForeign }),
	line("no control file, on-line", func(l *topology.Lineage, a *topology.Inspection) {
		l.Verdict, a.Control = topology.LineageOnLine, nil
	}),
	line("no control file, never compared", func(l *topology.Lineage, a *topology.Inspection) {
		*l,
			a.Control = topology.Lineage{}, nil
	}),
	line("no control file, diverged", func(l *topology.Lineage, a *topology.Inspection) { diverged(l); a.Control = nil }),
	line("other cluster, on-line", func(l *topology.Lineage, a *topology.Inspection) {
		l.Verdict = topology.LineageOnLine
		system(a, otherSys)
	}),
	line("other cluster, never compared", func(l *topology.Lineage,
		a *topology.Inspection) {
		*l = topology.Lineage{}
		system(a, otherSys)
	}),
	line("system identifier 0, on-line", func(l *topology.Lineage,
		a *topology.Inspection) {
		l.Verdict = topology.LineageOnLine
		system(a, 0)
	}),
}

// checksums and system change a copy: the cell's scene shares what it points to.
func checksums(a *topology.Inspection, on bool) {
	if a.Control != nil {
		c := *a.Control
		c.Checksums, a.Control = on, &c
	}
}

func system(a *topology.Inspection, id topology.SystemID) {
	if a.Control != nil {
		c := *a.Control
		c.SystemID, a.Control = id, &c
	}
}

func run(name string, r *topology.RunState) class {
	return class{name, func(s *scene) {
		if s.node(0).Agent.OK() {
			s.node(0).Agent.Run = r
		}
	}}
}

var runClasses = []class{
	{"no run", func(*scene) {}},
	run("a run", &topology.RunState{ID: "r", Method: topology.MethodRewind, Upstream: 1, Outcome: topology.RunRunning}),
	run("a run from another node", &topology.RunState{ID: "r", Method: topology.MethodRewind, Upstream: 2,
		Outcome: topology.RunWaiting}),
	run("a run that damaged", &topology.RunState{ID: "r", Method: topology.MethodRewind, Upstream: 1,
		Outcome: topology.RunInterrupted, Damaged: true, Ended: start.Add(-time.Hour)}),
	run("a run that failed", failedStart),
	{"runs that failed", func(s *scene) {
		s.node(0).Agent.Run = failedStart
		s.memory(0).Attempts = 2
	}},
}

var failedStart = &topology.RunState{ID: "r", Method: topology.MethodStart, Upstream: 1, Outcome: topology.RunFailed,
	Code: codes.StartFailed, Ended: start.Add(-time.Second)}

func status(name string, st topology.PoolStatus, quarantine bool) class {
	return class{name, func(s *scene) {
		v := s.snap.Pools[0].Node(0)
		v.Status, v.Quarantine, v.LastChange = st, quarantine, s.now.Add(-time.Minute)
	}}
}

var statusClasses = []class{
	status("down", topology.PoolDown, false), status("up", topology.PoolUp, false),
	status("quarantine", topology.PoolDown, true), status("unused", topology.PoolUnused, false),
}

var holderClasses = []class{
	{"agrees", func(*scene) {}},
	{"holds none", func(s *scene) { s.poolPrimary(topology.NoNode) }},
	{"holds node 2", func(s *scene) { s.poolPrimary(2) }},
	{"holds node 0", func(s *scene) { s.poolPrimary(0) }},
	{"holds none, nothing remembered", func(s *scene) { s.poolPrimary(topology.NoNode).forgets() }},
	{"holds node 2, nothing remembered", func(s *scene) { s.poolPrimary(2).forgets() }},
	{"holds node 0, nothing remembered", func(s *scene) { s.poolPrimary(0).forgets() }},
}

// forgets is a controller that has just started for the first time.
func (s *scene) forgets() { s.mem = Memory{Primary: topology.NoNode} }

// at is the cell's class in dimension d.
func (c *cell) at(d int) *int {
	return [...]*int{&c.sql, &c.place, &c.line, &c.run, &c.status, &c.holder}[d]
}

func (c cell) String() string {
	text := ""
	for d, classes := range dimensions {
		text += classes[*c.at(d)].name + "; "
	}
	return text
}

// scene is the cell's world, a copy of base but for what nobody changes.
func (c cell) scene(base *scene) *scene {
	s := *base
	s.mem.Nodes = append([]NodeMemory(nil), base.mem.Nodes...)
	s.snap.Nodes = append([]topology.Node(nil), base.snap.Nodes...)
	s.snap.Pools = append([]topology.PoolView(nil), base.snap.Pools...)
	s.snap.Pools[0].Nodes = append([]topology.PoolNode(nil), base.snap.Pools[0].Nodes...)
	for d, classes := range dimensions {
		classes[*c.at(d)].set(&s)
	}
	return &s
}

// cellBase has node 0 as a healthy standby of node 1, which was promoted long ago.
func cellBase(s *scene) *scene {
	s.learn()
	s.promoted(1).standby(2, 1).standby(0, 1).learn()
	return s
}

// decidedBefore says that the cell is like another one: the planner has decided
// before it looks at the dimension in which they differ.
func (c cell) decidedBefore() bool {
	sql := sqlClasses[c.sql].name
	switch name := runClasses[c.run].name; {
	case c.run == 0:
	case strings.Contains(name, "failed"):
		// Counts where a method is chosen; who streams or writes never comes to it.
		if sql == "streams" || sql == "lags" || sql == "writes" || sql == "writes-same" {
			return true
		}
	case !runLines[lineClasses[c.line].name], sql == "writes-same":
		// In progress or damaged: comes before the finer classes of line.
		return true
	case name == "a run from another node" && c.line > 0:
		return true
	}
	switch {
	case sql == "lags" && statusClasses[c.status].name != "down":
		return true // only an attach asks for the lag
	case c.status > 1 && c.holder > 0:
		return true // not known to Pgpool-II, or in quarantine: left alone anyway
	}
	// What is remembered of the primary has nothing to do with runs.
	return c.run > 0 && c.holder > 3
}

// runLines are the lines that stand for all in a cell with a run in progress, or
// one that damaged.
var runLines = map[string]bool{"on-line": true, "never compared": true, "diverged": true,
	"no control file, never compared": true, "other cluster, on-line": true}

// eachCell calls f for every cell.
func eachCell(f func(cell)) {
	var c cell
	var walk func(d int)
	walk = func(d int) {
		if d == len(dimensions) {
			if !c.decidedBefore() {
				f(c)
			}
			return
		}
		for i := range dimensions[d] {
			*c.at(d) = i
			walk(d + 1)
		}
	}
	walk(0)
}

// cellClock are the times of the passes over one cell: at once, when FollowGrace
// is over and a request may be repeated, and when StreamPatience and the patience
// with a frozen server are. Nothing else waits for time.
var cellClock = []time.Duration{0, 12 * time.Second, 40 * time.Second}

// passes observes the same world at those times, and does what is decided.
func (s *scene) passes(times []time.Duration, f func(i int, mem Memory, out Memory, ds []Decision)) {
	begin := s.now
	for i, d := range times {
		s.shift(begin.Add(d).Sub(s.now))
		out, ds := Step(s.mem, s.snap, s.pol, s.now)
		f(i, s.mem, out, ds)
		s.mem = Advance(out, ds, s.pol, s.now)
	}
}

// shift lets time go by; every fact keeps its age.
func (s *scene) shift(d time.Duration) {
	s.now = s.now.Add(d)
	add := func(src *topology.Source) {
		if !src.At.IsZero() {
			src.At = src.At.Add(d)
		}
	}
	for i := range s.snap.Pools {
		add(&s.snap.Pools[i].Source)
	}
	for i := range s.snap.Nodes {
		n := &s.snap.Nodes[i]
		add(&n.SQL.Source)
		add(&n.Agent.Source)
		add(&n.Lineage.Source)
	}
}
