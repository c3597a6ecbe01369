package plan

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// trouble is why there is no primary to resync any node from.
type trouble struct {
	code     codes.Code
	reason   string
	evidence []string
}

// agreement is how Pgpool-II's idea of the primary relates to ours.
type agreement int

const (
	// differs: it considers another node the primary and routes to it; or it has not
	// been asked yet.
	differs agreement = iota
	// free: it knows of none, or of one that it has detached. A failover may be
	// under way; what overwrites nothing may be done already.
	free
	// agrees: it considers the same node the primary. Required to overwrite anything
	// (P2), and to remember a new primary.
	agrees
)

// resolvePrimary finds the one unambiguous primary, or says why there is none.
// It never guesses between two lines whose order is not proven.
func (w *world) resolvePrimary() {
	own := w.candidates()
	if w.trouble.code != "" {
		return
	}
	if len(own) == 0 {
		w.trouble = w.noPrimary()
		return
	}
	p, h, t := w.unambiguous(own)
	if t.code == codes.PrimaryAmbiguous || t.code == codes.PrimaryContested {
		if kept := notAsked(own); len(kept) > 0 && len(kept) < len(own) {
			p, h, t = w.unambiguous(kept)
		}
	}
	if q, qh, rest := w.settle(own, t); q != nil {
		p, h = q, qh
	} else if rest.code != "" {
		w.trouble = rest
		return
	}
	w.primary, w.history, w.pool = p, h, w.agreementOn(p)
	w.marks(p)
}

// unambiguous is the one of these that is the primary, or why none is.
func (w *world) unambiguous(own []*subject) (*subject, topology.History, trouble) {
	p, t := w.newest(own)
	if p == nil {
		return nil, topology.History{}, t
	}
	h, _ := w.historyOf(p)
	if t := w.againstMemory(p, h); t.code != "" {
		return nil, h, t
	}
	if t := w.contested(p, h); t.code != "" {
		return nil, h, t
	}
	return p, h, trouble{}
}

// candidates are the nodes that say themselves that they are out of recovery
// and belong to this pool.
func (w *world) candidates() []*subject {
	var all []*subject
	for _, s := range w.nodes {
		if s.sql && !s.n.SQL.InRecovery {
			all = append(all, s)
		}
	}
	ref := w.referenceSystem(all)
	if ref == 0 {
		ref = w.referenceSystem(notAsked(all))
	}
	if ref == 0 && len(all) > 0 {
		w.trouble = trouble{codes.PrimaryAmbiguous,
			"several nodes accept writes under different system identifiers, and nothing tells which of them is the pool's",
			describe(all)}
		return nil
	}
	own := without(all, func(s *subject) bool { return s.n.SQL.SystemID != ref })
	if len(own) == 0 && len(all) > 0 {
		w.trouble = trouble{codes.ForeignSystem,
			fmt.Sprintf("the only node that accepts writes has a system identifier other than the pool's (%s)", ref),
			describe(all)}
	}
	return own
}

// referenceSystem is the pool's system identifier; zero when it cannot be told.
func (w *world) referenceSystem(all []*subject) topology.SystemID {
	if w.mem.History.Known() && w.mem.SystemID != 0 {
		// That a person gives up the last primary's node does not make the pool
		// another one, as long as any other node is of its lineage.
		ours := without(notAsked(w.nodes), func(s *subject) bool { return s.systemID() != w.mem.SystemID })
		if w.remembers() || len(ours) > 0 {
			return w.mem.SystemID
		}
	}
	var ref topology.SystemID
	for i, s := range all {
		switch id := s.n.SQL.SystemID; {
		case w.local != nil && w.local.Primary == s.n.ID && s.m.Asked == "":
			return id
		case i == 0:
			ref = id
		case ref != id:
			ref = 0
		}
	}
	return ref
}

// remembers says whether there is a remembered primary that still counts. It
// does not when a person asked to resync that very node.
func (w *world) remembers() bool {
	if !w.mem.History.Known() {
		return false
	}
	s := w.node(w.mem.Primary)
	return s != nil && s.m.Asked == ""
}

// historyOf is the history of a node out of recovery: its agent's, when that
// names the timeline that the server writes to; or the remembered one; or,
// for timeline 1, the only one possible.
func (w *world) historyOf(s *subject) (topology.History, bool) {
	t := s.n.SQL.Timeline
	switch {
	case s.agent && s.n.Agent.History.TLI == t && t != 0:
		return s.n.Agent.History, true
	case w.remembers() && w.mem.Primary == s.n.ID && w.mem.History.TLI == t:
		return w.mem.History, true
	case t == 1:
		return topology.History{TLI: 1}, true
	}
	return topology.History{}, false
}

// newest is the candidate whose history descends from all the others'.
func (w *world) newest(own []*subject) (*subject, trouble) {
	top := own[0]
	for _, s := range own[1:] {
		if s.n.SQL.Timeline > top.n.SQL.Timeline {
			top = s
		}
	}
	h, ok := w.historyOf(top)
	if !ok {
		return nil, trouble{codes.PrimaryHistoryUnknown,
			fmt.Sprintf("node %s accepts writes on timeline %s, but its history is not known yet", top.n.ID, top.n.SQL.Timeline),
			describe(own)}
	}
	for _, s := range own {
		if s == top {
			continue
		}
		o, known := w.historyOf(s)
		older := known && h.Descends(o)
		if !known {
			// Its agent is silent. The numbers and the memory must say it all.
			older = w.established(top, h) && s.n.SQL.Timeline < h.TLI && h.Contains(s.n.SQL.Timeline)
		}
		if !older {
			return nil, trouble{codes.PrimaryAmbiguous,
				fmt.Sprintf("nodes %s and %s both accept writes, and neither's WAL descends from the other's", top.n.ID, s.n.ID),
				describe(own)}
		}
	}
	return top, trouble{}
}

func (w *world) agreementOn(p *subject) agreement {
	if w.local == nil {
		return differs
	}
	if w.local.Primary == p.n.ID {
		return agrees
	}
	if v := w.local.Node(w.local.Primary); v != nil && v.Attached() {
		return differs
	}
	return free
}

// marks notes what the other nodes are in relation to the primary.
func (w *world) marks(p *subject) {
	for _, s := range w.nodes {
		if s == p {
			continue
		}
		id := s.systemID()
		s.foreign = id != 0 && id != p.n.SQL.SystemID
		s.second = !s.foreign && s.maybePrimary()
	}
}

// noPrimary tells apart why nobody accepts writes.
func (w *world) noPrimary() trouble {
	if w.remembers() {
		s := w.node(w.mem.Primary)
		if s.checksIgnored() {
			return s.noFailover()
		}
		if s.agent && !s.sql && running(s.n.Agent.Server) {
			return trouble{codes.PrimaryUnreachable,
				fmt.Sprintf("node %s, the last primary, does not answer, but its server is %s", s.n.ID, s.n.Agent.Server),
				s.common()}
		}
		if s.attached && !s.sql {
			return trouble{codes.PrimaryUnreachable,
				fmt.Sprintf("node %s, the last primary, does not answer, and Pgpool-II still routes to it", s.n.ID), s.common()}
		}
	}
	if r := w.failoverRefused; r.Code != "" {
		return trouble{r.Code, "the failover hook has promoted nothing: " + r.Text, nil}
	}
	if since := w.failoverSince(); since > 0 {
		return trouble{codes.FailoverRunning,
			fmt.Sprintf("Pgpool-II gave up its primary %s ago, and no node accepts writes yet", since.Round(roundTo)), nil}
	}
	if w.failoverTrouble != "" {
		return trouble{codes.NoPrimary,
			"no node accepts writes, and Pgpool-II cannot fail over, which is the likely cause: " + w.failoverTrouble, nil}
	}
	return trouble{codes.NoPrimary, "no node accepts writes: there is no primary to resync a node from", nil}
}

// failoverSince is how long ago Pgpool-II marked the last primary down, when
// that is recent enough for a failover to be under way; else 0.
func (w *world) failoverSince() time.Duration {
	if w.local == nil {
		return 0
	}
	for _, id := range []topology.NodeID{w.local.Primary, w.mem.Primary} {
		v := w.local.Node(id)
		if v == nil || v.Attached() || (id == w.mem.Primary && !w.mem.History.Known()) {
			continue
		}
		if since := w.now.Sub(v.LastChange); since >= 0 && since < failoverPatience {
			return max(since, time.Millisecond)
		}
	}
	return 0
}

// notAsked leaves out the nodes that a person asked to resync: consent to overwrite
// a node settles a doubt about which node is the primary, and only a doubt.
func notAsked(in []*subject) []*subject {
	return without(in, func(s *subject) bool { return s.m.Asked != "" })
}

func without(in []*subject, drop func(*subject) bool) []*subject {
	var out []*subject
	for _, s := range in {
		if !drop(s) {
			out = append(out, s)
		}
	}
	return out
}

// describe is the evidence about candidates.
func describe(all []*subject) []string {
	var out []string
	for _, s := range all {
		line := fmt.Sprintf("node %s is out of recovery on timeline %s at %s, system identifier %s", s.n.ID, s.n.SQL.Timeline,
			s.n.SQL.Current, s.n.SQL.SystemID)
		if h, ok := s.w.historyOf(s); ok {
			line += ", history " + h.Text()
		}
		out = append(out, line)
	}
	return out
}
