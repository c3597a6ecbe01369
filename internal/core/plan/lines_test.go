package plan

import (
	"fmt"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// TestEveryPrimary goes through what three nodes can say of themselves, with
// everything that may settle who the primary is, and asks whether the planner
// ever takes a side that is not proven. What a node is beside the primary is
// TestEveryCell's.
func TestEveryPrimary(t *testing.T) {
	t.Parallel()
	base := newScene(t)
	found := map[string]int{}
	count := 0
	var s *scene
	var said [3]string
	try := func(name string) {
		count++
		first := topology.NoNode
		s.passes(cellClock[1:], func(i int, mem, out Memory, ds []Decision) {
			why := breach(mem, s.snap, s.pol, s.now, out, ds)
			p := primaryOf(ds)
			if why == "" {
				why = wrongPrimary(s, mem, p, ds)
			}
			if why == "" && first != topology.NoNode && p != first {
				why = fmt.Sprintf("the primary was node %s, and is %s with the same facts", first, p)
			}
			if why != "" {
				t.Fatalf("%v, %s, pass %d: %s\n%s", said, name, i, why, dump(mem, s.snap, ds))
			}
			if first == topology.NoNode {
				first = p
			}
			if i == 0 {
				found[p.String()]++
			}
		})
	}
	eachSpeech(base, func(world *scene, what [3]string) {
		said = what
		for _, settled := range settlements {
			for holder := topology.NoNode; holder < 3; holder++ {
				for _, st := range []topology.PoolStatus{topology.PoolUp, topology.PoolDown} {
					c := *world
					s = &c
					s.mem = Memory{Primary: topology.NoNode}
					s.snap.Pools = []topology.PoolView{{Source: topology.Source{At: s.now}, Endpoint: "pool", Primary: holder,
						Nodes: append([]topology.PoolNode(nil), base.snap.Pools[0].Nodes...)}}
					s.status(0, st)
					settled.set(s)
					try(fmt.Sprintf("%s, Pgpool-II holds %s, node 0 %s", settled.name, holder, st))
				}
			}
		}
	})
	for _, who := range []string{"none", "0", "1", "2"} {
		if found[who] == 0 {
			t.Errorf("node %s never was the primary: %v", who, found)
		}
	}
	t.Logf("%d worlds: %v", count, found)
}

// speeches are what one node can say: by SQL, and by its agent about its line.
var speeches = []struct {
	name           string
	sql            string // writes, recovers or silent
	line           string
	system         topology.SystemID
	agent, stopped bool
}{
	{"writes 1", "writes", "1", sys, true, false},
	{"writes 1-2", "writes", "1@0/5000000 2", sys, true, false},
	{"writes 1-2 from elsewhere", "writes", "1@0/4000000 2", sys, true, false},
	{"writes 1-2-3", "writes", "1@0/5000000 2@0/6000000 3", sys, true, false},
	{"writes 2, agent silent", "writes", "1@0/5000000 2", sys, false, false},
	{"writes another cluster", "writes", "1", otherSys, true, false},
	{"recovers 1", "recovers", "1", sys, true, false},
	{"stopped on 1", "silent", "1", sys, true, true},
	{"stopped on 1-2", "silent", "1@0/5000000 2", sys, true, true},
	{"stopped on 1-2-3", "silent", "1@0/5000000 2@0/6000000 3", sys, true, true},
	{"silent", "silent", "1", sys, false, false},
}

// eachSpeech calls f with every world that three nodes can make up.
func eachSpeech(base *scene, f func(*scene, [3]string)) {
	n := len(speeches)
	for i := range n * n * n {
		s := *base
		s.snap.Nodes = append([]topology.Node(nil), base.snap.Nodes...)
		var what [3]string
		for id, k := range [3]int{i % n, i / n % n, i / n / n} {
			what[id] = speeches[k].name
			s.speak(topology.NodeID(id), k)
		}
		f(&s, what)
	}
}

func (s *scene) speak(id topology.NodeID, k int) {
	sp, n := speeches[k], s.node(id)
	h := hist(sp.line)
	n.SQL = topology.SQLFacts{Source: topology.Source{At: s.now}, SystemID: sp.system, Version: 150018, Timeline: h.TLI,
		InRecovery: sp.sql == "recovers", Current: 0x6001000, Replay: 0x5000000, DatabaseBytes: gib}
	if sp.sql == "silent" {
		n.SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}}
	}
	n.Agent = topology.Inspection{Source: topology.Source{At: s.now}, Dir: topology.DirPresent, Version: 15,
		Server: topology.ServerRunning, StandbySignal: sp.sql == "recovers",
		Control: &topology.Control{SystemID: sp.system, Checksums: true}, History: h, FreeBytes: 100 * gib}
	if sp.stopped {
		n.Agent.Server = topology.ServerStopped
	}
	if !sp.agent {
		n.Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no answer"}}
	}
	n.Lineage = topology.Lineage{}
}

func (s *scene) remembers(id topology.NodeID, line string) {
	s.mem.Primary, s.mem.History, s.mem.SystemID = id, hist(line), sys
}

// settlements are what may settle a doubt: the memory, the failover hook's
// record, a person's word.
var settlements = []struct {
	name string
	set  func(*scene)
}{
	{"nothing remembered", func(*scene) {}},
	{"node 0 on 1 remembered", func(s *scene) { s.remembers(0, "1") }},
	{"node 1 on 1-2 remembered", func(s *scene) { s.remembers(1, "1@0/5000000 2") }},
	{"node 0 remembered, node 1 appointed", func(s *scene) {
		s.remembers(0, "1")
		s.snap.Promoted = topology.Promotion{Node: 1, SystemID: sys, History: hist("1@0/5000000 2")}
	}},
	{"asked for node 0", func(s *scene) { s.memory(0).Asked = askedAny }},
	{"node 0 remembered and asked for", func(s *scene) { s.remembers(0, "1"); s.memory(0).Asked = askedAny }},
}

// primaryOf is the node that the decisions take for the primary.
func primaryOf(ds []Decision) topology.NodeID {
	for _, d := range ds {
		if d.Upstream != topology.NoNode {
			return d.Upstream
		}
	}
	return topology.NoNode
}

// wrongPrimary says why p cannot be taken for the primary, by the histories
// themselves, or which action there is without one.
func wrongPrimary(s *scene, mem Memory, p topology.NodeID, ds []Decision) string {
	if p == topology.NoNode {
		for _, d := range ds {
			if d.Action != None && d.Action != Wait && d.Code != codes.PrimaryStale {
				return "without a primary: " + short(d)
			}
		}
		return ""
	}
	n := s.node(p)
	if n.SQL.Err != "" || n.SQL.InRecovery {
		return "it does not accept writes"
	}
	line := lineOf(s, mem, p)
	pool := &s.snap.Pools[0]
	if h := s.node(pool.Primary); h != nil && h.ID != p && pool.Node(h.ID).Attached() && !asked(mem, h.ID) &&
		!(mem.Primary == p && mem.History.Text() == line) {
		if stopped := h.Agent.Err == "" && h.Agent.Server == topology.ServerStopped; h.SQL.Err == "" && !h.SQL.InRecovery ||
			h.SQL.Err != "" && !stopped {
			return fmt.Sprintf("Pgpool-II routes writes to node %s, which may take them", h.ID)
		}
	}
	for i := range s.snap.Nodes {
		o := &s.snap.Nodes[i]
		if o.ID == p || asked(mem, o.ID) {
			continue
		}
		theirs := lineOf(s, mem, o.ID)
		if o.SQL.Err == "" && !o.SQL.InRecovery && o.SQL.SystemID == n.SQL.SystemID && !extends(line, theirs) &&
			!(theirs == "" && o.SQL.Timeline < n.SQL.Timeline && mem.Primary == p) {
			return fmt.Sprintf("node %s writes too, on %q, which %q does not extend", o.ID, theirs, line)
		}
		settled := mem.Primary == p && mem.History.Text() == line || s.snap.Promoted.Node == p &&
			s.snap.Promoted.History.Text() == line
		if !settled && o.Agent.Err == "" && o.Agent.Control.SystemID == n.SQL.SystemID && extends(theirs, line) {
			return fmt.Sprintf("node %s holds the newer line %q", o.ID, theirs)
		}
	}
	if mem.History.Known() && mem.Primary != p && !asked(mem, mem.Primary) && s.snap.Promoted.Node != p &&
		!extends(line, mem.History.Text()) {
		return fmt.Sprintf("%q does not extend %q, which node %s was on", line, mem.History.Text(), mem.Primary)
	}
	return ""
}

// lineOf is a node's line as text; empty where nobody can tell.
func lineOf(s *scene, mem Memory, id topology.NodeID) string {
	n := s.node(id)
	switch {
	case n.Agent.Err == "":
		return n.Agent.History.Text()
	case mem.Primary == id && n.SQL.Err == "" && mem.History.TLI == n.SQL.Timeline:
		return mem.History.Text()
	}
	return ""
}

// extends says that line a was made from line b by leaving it: "1@0/5000000 → 2"
// from "1". By the text alone, to share nothing with the planner's arithmetic.
func extends(a, b string) bool {
	return b != "" && len(a) > len(b) && a[:len(b)] == b && a[len(b)] == '@'
}
