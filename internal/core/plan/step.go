package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// Step looks at one snapshot and proposes what should happen, and why: exactly one
// decision for each node of the snapshot, in the order of their ids. It never
// changes its arguments; the memory that it returns shares nothing with them.
// A refusal is a Decision too: Action None or Wait, with its Code.
//
// A proposal does not count as done. The caller passes the decisions that it
// carries out to Advance before the next Step.
func Step(mem Memory, snap topology.Snapshot, pol Policy, now time.Time) (Memory, []Decision) {
	w := newWorld(mem, snap, pol, now)
	w.countRuns()
	w.noteIgnored()
	w.resolvePrimary()
	w.noteForks()
	w.noteCompared()
	w.noteStreams()
	decisions := make([]Decision, 0, len(w.nodes))
	for _, s := range w.nodes {
		if s != w.primary {
			decisions = append(decisions, s.judge(nodeRules))
		}
	}
	if w.primary != nil {
		// Last, since an attach of a proven standby makes Pgpool-II look for its
		// primary again and spares it the nudge.
		decisions = append(decisions, w.primary.judge(primaryRules(decisions)))
	}
	slices.SortFunc(decisions, func(a, b Decision) int { return int(a.Node) - int(b.Node) })
	return w.remembered(), decisions
}

// remembered is the memory after this pass: what it saw, and not what it proposes.
func (w *world) remembered() Memory {
	out := w.mem
	out.Nodes = make([]NodeMemory, 0, len(w.nodes))
	for _, s := range w.nodes {
		out.Nodes = append(out.Nodes, s.m)
	}
	return out
}

// world is one pass: the inputs, and what was worked out of them.
type world struct {
	now   time.Time
	pol   Policy
	mem   Memory // shared with nobody; its Nodes are in the subjects
	pools []topology.PoolView
	local *topology.PoolView // Pools[0], nil when there is none or it is stale
	// silent: there is no local view because Pgpool-II gave no answer in time.
	silent bool
	// promoted is what the last failover made the primary.
	promoted topology.Promotion
	// failoverTrouble is the snapshot's.
	failoverTrouble string
	// failoverRefused is the snapshot's.
	failoverRefused topology.FailoverRefusal
	nodes           []*subject

	primary *subject         // nil: see trouble
	history topology.History // the primary's
	pool    agreement
	trouble trouble // why there is no primary
}

// subject is one node with all that is known of it.
type subject struct {
	w *world
	n topology.Node
	m NodeMemory

	sql, agent bool // fresh facts
	// attached: some Pgpool-II routes to it; detached: some Pgpool-II does not.
	attached, detached, quarantined, known bool
	// second: out of recovery beside the primary, or about to be. foreign: other
	// system identifier than the primary's.
	second, foreign bool
	// sender is the node that the node streams from; NoNode: none, or not known.
	sender topology.NodeID
	// stranger: what answers as the node's agent has another cluster's data; agent
	// is false then, for nothing that it says is about this node.
	stranger bool
}

func newWorld(mem Memory, snap topology.Snapshot, pol Policy, now time.Time) *world {
	mem = heedAll(mem.until(now), &snap, pol, now)
	w := &world{now: now, pol: pol, mem: mem, promoted: snap.Promoted, failoverTrouble: snap.FailoverTrouble,
		failoverRefused: snap.FailoverRefused}
	haveLocal := false
	for i, p := range snap.Pools {
		if !p.Fresh(now, pol.MaxFactAge) {
			continue
		}
		w.pools = append(w.pools, p)
		haveLocal = haveLocal || i == 0
	}
	if haveLocal {
		w.local = &w.pools[0]
	} else if len(snap.Pools) > 0 {
		w.silent = snap.Pools[0].Silent
	}
	for _, n := range snap.Nodes {
		s := &subject{w: w, n: n, m: memoryOf(mem, n.ID)}
		s.sql = n.SQL.Fresh(now, pol.MaxFactAge)
		s.agent = n.Agent.Fresh(now, pol.MaxFactAge)
		if s.strangersAgent() {
			s.agent, s.stranger, s.n.Agent.ErrCode = false, true, codes.AgentForeign
			s.n.Agent.Err = fmt.Sprintf("its data has system identifier %s, the node's server has %s", n.Agent.Control.SystemID,
				n.SQL.SystemID)
		}
		for i := range w.pools {
			s.notePool(&w.pools[i])
		}
		w.nodes = append(w.nodes, s)
	}
	slices.SortFunc(w.nodes, func(a, b *subject) int { return int(a.n.ID) - int(b.n.ID) })
	w.noteSenders()
	return w
}

// noteSenders finds out who streams from whom, by what is fresh.
func (w *world) noteSenders() {
	nodes := make([]topology.Node, len(w.nodes))
	for i, s := range w.nodes {
		nodes[i] = s.n
		nodes[i].AppName = s.appName()
		if !s.sql && !s.n.SQL.Refused {
			nodes[i].SQL = topology.SQLFacts{}
		}
	}
	for i, s := range w.nodes {
		s.sender = topology.Sender(nodes, &nodes[i])
	}
}

// strangersAgent says that the agent which answers for the node has other data
// than the node's own server: nothing it says is about the node.
func (s *subject) strangersAgent() bool {
	c := s.n.Agent.Control
	return s.sql && s.agent && c != nil && s.n.SQL.SystemID != 0 && c.SystemID != s.n.SQL.SystemID
}

func (s *subject) notePool(p *topology.PoolView) {
	v := p.Node(s.n.ID)
	switch {
	case v == nil:
	case v.Quarantine:
		s.known, s.quarantined = true, true
	case v.Attached():
		s.known, s.attached = true, true
	case v.Status == topology.PoolDown:
		s.known, s.detached = true, true
	}
}

func memoryOf(mem Memory, id topology.NodeID) NodeMemory {
	for _, m := range mem.Nodes {
		if m.Node == id {
			return m
		}
	}
	return newNodeMemory(id)
}

func (w *world) node(id topology.NodeID) *subject {
	for _, s := range w.nodes {
		if s.n.ID == id {
			return s
		}
	}
	return nil
}

// rule is one entry of the table: the first whose match holds decides.
type rule struct {
	code   codes.Code
	match  func(*subject) bool
	decide func(*subject) Decision
}

func (s *subject) judge(table []rule) Decision {
	for _, r := range table {
		if r.match(s) {
			return r.decide(s)
		}
	}
	return s.decide(Wait, codes.FactsStale, "no rule matches what is known about this node")
}

// decide makes a decision with the code's severity and remedy. Wait is work
// under way only where the code says so.
func (s *subject) decide(a Action, code codes.Code, reason string, evidence ...string) Decision {
	info, _ := codes.Explain(code)
	d := Decision{Node: s.n.ID, Action: a, Code: code, Severity: info.Severity, Reason: reason,
		Evidence: append(evidence, s.common()...), Upstream: topology.NoNode}
	if s.w.primary != nil && s.w.primary != s {
		d.Upstream = s.w.primary.n.ID
	}
	if a != None && a != Wait {
		d.Severity = codes.Work
	}
	if d.Severity == codes.Refused {
		d.Hint = info.Hint(s.n.ID.String())
	}
	return d
}
