package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// outcome is what came of a cell over all its passes.
type outcome struct {
	rank int        // of the worst action
	code codes.Code // its code
	// Which of the actions came about.
	attaches, detaches, fences bool
	seen                       []string
}

// rankOf orders actions by what they cost a node that was well after all. What
// copies nothing and can be undone is all alike.
func rankOf(d Decision) int {
	switch {
	case d.Action == Resync && d.Method == topology.MethodRewind:
		return 3
	case d.Action == Resync && d.Method.Destructive():
		return 4
	case d.Action == Fence:
		return 2
	case d.Action == Detach, d.Action == Cancel:
		return 1
	}
	return 0
}

// proofOf is the dimension whose class must be the proof for a decision that
// costs something, and whether it is one in this world.
func proofOf(s *scene, code codes.Code) (dimension int, proven bool) {
	n := s.node(0)
	l, a := n.Lineage, &n.Agent
	if !fresh(l.Source, s.pol, s.now) || l.Primary != 1 {
		l = topology.Lineage{}
	}
	switch code {
	case codes.Diverged, codes.AttachedDiverged:
		ahead := n.SQL.InRecovery && n.SQL.Replay > s.node(1).SQL.Current
		if ahead {
			return 0, true
		}
		if f := s.memory(0).Fork; f.DataID != "" && f.DataID == a.DataID {
			return 2, true
		}
		return 2, l.Verdict == topology.LineageDiverged || code == codes.AttachedDiverged &&
			l.Verdict == topology.LineageForeign
	case codes.WALGone:
		return 2, l.StreamGap
	case codes.UnrelatedHistory:
		return 2, l.Verdict == topology.LineageForeign && s.memory(0).Asked != ""
	case codes.GarbledControl:
		return 2, a.Control == nil && (a.Dir == topology.DirInRepair || a.Server == topology.ServerStopped)
	case codes.ForeignSystem:
		return 2, a.Control != nil && a.Control.SystemID == otherSys
	case codes.HalfDone:
		return 3, a.Run != nil && a.Run.Damaged
	case codes.NoData, codes.AttachedDown:
		return 1, a.Dir == topology.DirMissing || a.Dir == topology.DirForeign || code == codes.AttachedDown
	case codes.Frozen:
		return 1, a.Server == topology.ServerFrozen
	case codes.SecondPrimary, codes.AttachedSecondPrimary:
		return 0, !n.SQL.InRecovery && n.SQL.OK() || !a.StandbySignal && running(a.Server) &&
			a.Server != topology.ServerStopping
	case codes.AttachedNotStreaming:
		return 0, n.SQL.Receiver.Status == ""
	case codes.StandbyDown, codes.OldPrimaryOnLine, codes.WrongUpstream, codes.NotStreaming:
		// The last resort, when what copies nothing has failed again and again.
		return 3, s.memory(0).Attempts >= 2 && l.Verdict == topology.LineageOnLine
	case codes.Resyncing:
		return 3, a.Run != nil && !a.Run.Outcome.Ended()
	}
	return -1, false
}

// judgeCell runs a cell through its passes. Whatever time it is, one world never
// calls for two different actions, nor for any that is not proven.
func judgeCell(s *scene) (o outcome, acting []acted, why string) {
	var first *Decision
	s.passes(cellClock, func(i int, mem, out Memory, ds []Decision) {
		if why != "" {
			return
		}
		d := ds[0]
		if why = breach(mem, s.snap, s.pol, s.now, out, ds); why != "" {
			return
		}
		rank := rankOf(d)
		if rank > 0 {
			if _, proven := proofOf(s, d.Code); !proven {
				why = fmt.Sprintf("pass %d: %s without its proof", i, short(d))
			}
		}
		if d.Reason == "no rule matches what is known about this node" {
			why = "no rule fits"
		}
		if rank > o.rank {
			o.rank, o.code = rank, d.Code
		}
		o.attaches, o.detaches, o.fences = o.attaches || d.Action == Attach, o.detaches || d.Action == Detach, o.fences ||
			d.Action == Fence
		if d.Action == None || d.Action == Wait {
			return
		}
		if !slices.Contains(o.seen, short(d)) {
			o.seen = append(o.seen, short(d))
		}
		if first != nil && contrary(*first, d) {
			why = fmt.Sprintf("pass %d: %s after %s, with the same facts", i, short(d), short(*first))
		}
		if first == nil {
			first = &d
			acting = append(acting, acted{*s, mem, d})
		}
	})
	return o, acting, why
}

// acted is the pass in which a cell's first action came about.
type acted struct {
	scene scene
	mem   Memory
	d     Decision
}

// contrary says that two actions do not go together on one world: what one does
// the other undoes, or both want to mend the same in different ways. A detach
// or a cancelled run goes with whatever is done about the node itself.
func contrary(a, b Decision) bool {
	yields := func(d Decision) bool { return d.Action == Detach || d.Action == Cancel }
	switch {
	case a.Action == b.Action:
		return a.Method != b.Method
	case a.Action == Attach || b.Action == Attach:
		return true
	}
	return !yields(a) && !yields(b)
}

// TestEveryCell goes through every class of what can be known of one node, and
// holds the planner to its promises in each, at every time.
func TestEveryCell(t *testing.T) {
	t.Parallel()
	base := cellBase(newScene(t))
	outcomes := map[cell]outcome{}
	seen, gated, count := map[string]int{}, map[string]bool{}, 0
	eachCell(func(c cell) {
		if t.Failed() {
			return
		}
		o, acting, why := judgeCell(c.scene(base))
		if why != "" {
			t.Errorf("%s\n%s", c, why)
			return
		}
		outcomes[c] = o
		for _, what := range o.seen {
			seen[what]++
		}
		for _, a := range acting {
			// A gate asks for nothing of SQL and of the last run but what the
			// decision shows.
			key := fmt.Sprint(short(a.d), c.place, c.line, c.status, c.holder)
			if gated[key] {
				continue
			}
			gated[key] = true
			if why := gatesHold(a); why != "" {
				t.Errorf("%s\n%s", c, why)
			}
			if why := customHolds(a); why != "" {
				t.Errorf("%s\n%s", c, why)
			}
		}
		// A person's word settles what policy leaves to him, and no doubt about the
		// node: its proofs are asked for all the same. Every eleventh cell is enough
		// to meet each pair of classes, since no dimension has a multiple of 11.
		if count++; count%11 == 0 {
			s := c.scene(base)
			s.memory(0).Asked = askedAny
			if _, _, why := judgeCell(s); why != "" {
				t.Errorf("%s\nasked for: %s", c, why)
			}
		}
	})
	if t.Failed() {
		return
	}
	checkToggles(t, base, outcomes)
	checkEdges(t, outcomes)
	for _, want := range []string{"attach ready", "fence second-primary", "fence frozen", "cancel resyncing",
		"resync/adopt old-primary-on-line", "resync/start standby-down",
		"resync/follow wrong-upstream", "resync/rewind diverged", "resync/base-backup diverged", "resync/base-backup no-data",
		"resync/base-backup half-done",
		"resync/base-backup wal-gone", "resync/base-backup garbled-control", "resync/base-backup standby-down",
		"detach attached-diverged", "detach attached-down", "detach attached-second-primary",
		"detach attached-not-streaming", "detach foreign-system"} {
		if seen[want] == 0 {
			t.Errorf("%s never came about: %v", want, seen)
		}
	}
	t.Logf("%d cells: %v", len(outcomes), seen)
}

// checkToggles closes the loop through Pgpool-II: what is attached for its facts
// must not be detached for the same facts, nor the reverse.
func checkToggles(t *testing.T, base *scene, outcomes map[cell]outcome) {
	t.Helper()
	const down, up = 0, 1
	for c, o := range outcomes {
		if c.status != down || !o.attaches {
			continue
		}
		other := c
		other.status = up
		if outcomes[other].detaches || outcomes[other].fences {
			t.Fatalf("%s\nattached while down, and %s once it is up", c, outcomes[other].code)
		}
		// And with the memory of the attach.
		s := c.scene(base)
		s.passes(cellClock, func(i int, _, _ Memory, ds []Decision) {
			switch ds[0].Action {
			case Attach:
				s.status(0, topology.PoolUp)
			case Detach, Fence, Resync:
				t.Fatalf("%s\npass %d after its attach: %s", c, i, short(ds[0]))
			}
		})
	}
}

// edge goes from what is not known, or bad, to the good class of a dimension.
type edge struct {
	dimension int
	from, to  string
}

var goodEdges = []edge{
	{0, "silent", "streams"}, {0, "lags", "streams"}, {0, "recovers", "streams"}, {0, "ahead", "streams"},
	{0, "writes", "streams"}, {0, "writes-same", "streams"},
	{1, "agent silent", "directory present, server running, signal"},
	{1, "directory unknown, server running", "directory present, server running, signal"},
	{1, "directory present, server unknown, signal", "directory present, server running, signal"},
	{1, "directory present, server running", "directory present, server running, signal"},
	{1, "directory missing, server running", "directory present, server running, signal"},
	{1, "directory present, server frozen, signal", "directory present, server running, signal"},
	{2, "never compared", "on-line"}, {2, "unknown", "on-line"}, {2, "unknown, gap", "on-line"},
	{2, "on-line, gap", "on-line"}, {2, "on-line long ago", "on-line"},
	{2, "diverged from another node", "on-line"}, {2, "diverged", "on-line"}, {2, "diverged, WAL gone", "diverged"},
	{2, "diverged, same timeline", "diverged"},
	{2, "diverged, no checksums", "diverged"}, {2, "unrelated", "on-line"}, {2, "no control file, on-line", "on-line"},
	{2, "no control file, never compared", "never compared"},
	{2, "no control file, diverged", "diverged"}, {2, "other cluster, on-line", "on-line"},
	{2, "system identifier 0, on-line", "on-line"},
	{3, "a run that damaged", "no run"}, {3, "a run that failed", "no run"}, {3, "runs that failed", "a run that failed"},
	{3, "a run", "no run"},
	{5, "holds none", "agrees"}, {5, "holds node 2", "agrees"},
}

// checkEdges: a fact that turns out well never makes the outcome worse, unless
// something else is known to be wrong, and the planner names that. (What it did
// not dare to act upon before may then be acted upon.)
func checkEdges(t *testing.T, outcomes map[cell]outcome) {
	t.Helper()
	index := func(d int, name string) int {
		i := slices.IndexFunc(dimensions[d], func(c class) bool { return c.name == name })
		if i < 0 {
			t.Fatalf("no class %q", name)
		}
		return i
	}
	base := cellBase(newScene(t))
	excused := 0
	for _, e := range goodEdges {
		from, to := index(e.dimension, e.from), index(e.dimension, e.to)
		for c, o := range outcomes {
			if *c.at(e.dimension) != from {
				continue
			}
			better := c
			*better.at(e.dimension) = to
			then, there := outcomes[better]
			if !there || then.rank <= o.rank {
				continue
			}
			excused++
			if where, proven := proofOf(better.scene(base), then.code); !proven || where == e.dimension && e.to != "diverged" {
				t.Errorf("%s\n%s turns to %s, and %q (rank %d) to %q (rank %d)", c, e.from, e.to, o.code, o.rank, then.code,
					then.rank)
				return
			}
		}
	}
	t.Logf("%d edges, %d times something else stood out", len(goodEdges), excused)
}
