package plan

import (
	"fmt"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// established says that s, on that history, has been the pool's primary before.
func (w *world) established(s *subject, h topology.History) bool {
	return w.remembers() && w.mem.Primary == s.n.ID && h.Equal(w.mem.History)
}

// appointed says that a failover has promoted s to that very line, after
// whatever is remembered. It may not descend from the remembered primary's line:
// when that one dies right after its own promotion, the next standby has seen
// nothing of it, and its new timeline may even have the same number.
func (w *world) appointed(s *subject, h topology.History) bool {
	p := w.promoted
	return p.History.Known() && p.Node == s.n.ID && p.SystemID == s.n.SQL.SystemID && h.Equal(p.History)
}

// Overtaken says that a failover has left the remembered primary behind, unseen:
// the hook's record names another node, on a line that descends from the remembered
// one. The memory learns it when that node answers; until then the remembered
// primary is an old one, however well it is known. It is not when that node itself
// streams the remembered line by now (another controller has brought it back), nor
// when a person wishes to resync it.
func Overtaken(mem Memory, snap *topology.Snapshot) bool {
	p := snap.Promoted
	n := snap.Node(p.Node)
	return n != nil && p.Node != mem.Primary && p.SystemID == mem.SystemID && p.History.Descends(mem.History) &&
		memoryOf(mem, p.Node).Asked == "" && !follows(&n.SQL, mem.History)
}

// follows says that a server streams that line.
func follows(f *topology.SQLFacts, h topology.History) bool {
	return f.OK() && f.InRecovery && f.Receiver.Status == "streaming" && f.Receiver.Timeline == h.TLI
}

// overtaken says the same of a node out of recovery on that history.
func (w *world) overtaken(p *subject, h topology.History) bool {
	mem := w.mem
	mem.Primary, mem.SystemID, mem.History = p.n.ID, p.n.SQL.SystemID, h
	snap := topology.Snapshot{Promoted: w.promoted}
	if s := w.node(w.promoted.Node); s != nil {
		snap.Nodes = []topology.Node{s.n}
	}
	return Overtaken(mem, &snap)
}

// againstMemory refuses a primary that the remembered one has left behind.
func (w *world) againstMemory(p *subject, h topology.History) trouble {
	if w.overtaken(p, h) {
		return trouble{codes.PrimaryStale,
			fmt.Sprintf("node %s accepts writes on timeline %s, but a failover has since made node %s the primary, on %s",
				p.n.ID, h.TLI, w.promoted.Node, w.promoted.History.Text()), describe([]*subject{p})}
	}
	if w.established(p, h) || w.appointed(p, h) {
		return trouble{}
	}
	if newer := w.newerLine(p, h); newer != nil {
		return trouble{codes.PrimaryStale,
			fmt.Sprintf("node %s accepts writes on timeline %s, but node %s has the newer line %s, which descends from it",
				p.n.ID, h.TLI, newer.n.ID, newer.n.Agent.History.Text()), describe([]*subject{p})}
	}
	if !w.remembers() || h.Descends(w.mem.History) || w.superseded(p) {
		return trouble{}
	}
	old := fmt.Sprintf("the pool's last primary was node %s on %s", w.mem.Primary, w.mem.History.Text())
	if w.mem.History.Descends(h) {
		return trouble{codes.PrimaryStale,
			fmt.Sprintf("node %s accepts writes on timeline %s, which the pool has left: its last primary was node %s on "+
				"timeline %s", p.n.ID, h.TLI, w.mem.Primary, w.mem.History.TLI), append(describe([]*subject{p}), old)}
	}
	return trouble{codes.PrimaryAmbiguous,
		fmt.Sprintf("node %s accepts writes on %s, which does not descend from the line of the pool's last primary, node %s",
			p.n.ID, h.Text(), w.mem.Primary), append(describe([]*subject{p}), old)}
}

// newerLine finds a node that holds a line of WAL that descends from h: p then
// is an old primary that came back first. A node under a person's resync
// request does not count.
func (w *world) newerLine(p *subject, h topology.History) *subject {
	for _, s := range w.nodes {
		a := &s.n.Agent
		if s == p || !s.agent || s.m.Asked != "" || a.Control == nil || a.Control.SystemID != p.n.SQL.SystemID {
			continue
		}
		if a.History.Descends(h) {
			return s
		}
	}
	return nil
}

// superseded says that the remembered primary itself follows p now: somebody
// has rebuilt it, and the memory is out of date.
func (w *world) superseded(p *subject) bool {
	s := w.node(w.mem.Primary)
	return s != nil && s != p && s.streamsFrom(p)
}

// contested refuses where Pgpool-II routes writes to another node that accepts
// them too, or may: a standby promoted behind Pgpool-II's back. It does not
// when p has been the pool's primary before: then Pgpool-II is wrong.
func (w *world) contested(p *subject, h topology.History) trouble {
	if w.local == nil || w.local.Primary == p.n.ID || w.established(p, h) {
		return trouble{}
	}
	s, v := w.node(w.local.Primary), w.local.Node(w.local.Primary)
	if s == nil || v == nil || !v.Attached() || s.m.Asked != "" {
		return trouble{}
	}
	if s.sql && s.n.SQL.InRecovery || !s.sql && s.agent && !running(s.n.Agent.Server) {
		return trouble{}
	}
	return trouble{codes.PrimaryContested,
		fmt.Sprintf("node %s accepts writes on the newest line, but Pgpool-II routes writes to node %s, which accepts them "+
			"too or does not answer", p.n.ID, s.n.ID), describe([]*subject{p})}
}
