package plan

import (
	"github.com/repool/repool/internal/core/topology"
)

// Fork is the proof that a node's data are of another line than a primary's under
// the same timeline number. It has to be remembered: once such a node streams, its
// WAL receiver writes the primary's WAL over the node's own from the beginning of a
// segment on, and what is then read from its disk looks right, while the data are
// wrong (hazards 1 and 5). The zero value: nothing of the kind was proven.
type Fork struct {
	// DataID is the directory that was proven, see topology.Inspection.DataID. The
	// proof is void for any other one.
	DataID string `json:"data_id"`
	// Primary and PrimaryData are the node, and its directory, that it was compared
	// with, or the one that has taken over from that.
	Primary     topology.NodeID `json:"primary"`
	PrimaryData string          `json:"primary_data,omitempty"`
	// Point on TLI is up to where both lines are surely one.
	Point topology.LSN        `json:"point"`
	TLI   topology.TimelineID `json:"tli"`
	// ProvenTo is the verdict's: zero where the numbers alone have proven the fork.
	ProvenTo topology.LSN `json:"proven_to,omitempty"`
	Proof    string       `json:"proof"`
}

// noteForks remembers what is proven in this pass, and forgets what is void.
func (w *world) noteForks() {
	for _, s := range w.nodes {
		f := &s.m.Fork
		if f.DataID != "" && s.agent && s.n.Agent.DataID != "" && s.n.Agent.DataID != f.DataID {
			*f = Fork{}
		}
		if w.primary == nil || s == w.primary {
			continue
		}
		l := s.measured()
		if l.Verdict != topology.LineageDiverged || !l.SameTimeline && !s.sameNumber() || l.DataID == "" || !s.agent ||
			s.n.Agent.DataID != l.DataID || s.forked() {
			continue
		}
		*f = Fork{DataID: l.DataID, Primary: l.Primary, Point: l.Point, TLI: l.TLI, ProvenTo: l.ProvenTo,
			Proof: l.Proof}
		if w.primary.agent {
			f.PrimaryData = w.primary.n.Agent.DataID
		}
	}
}

// sameNumber says that the node and the primary went on with one timeline number
// from different places. The node could be started as a standby then, and
// would receive the primary's WAL over its own.
func (s *subject) sameNumber() bool {
	own, theirs := s.n.Agent.History, s.w.history
	if !own.Known() || !theirs.Known() || own.TLI > theirs.TLI {
		return false
	}
	begin := theirs.Begin(own.TLI)
	return theirs.Contains(own.TLI) && begin != own.Begin(own.TLI)
}

// inheritForks is called when another node takes over from the remembered primary.
// One that was on the old one's line goes on with it, and what was proven against
// the old one holds against it. Where the pool goes on with another line, a proof
// against the old primary says nothing, and stands idle.
func (w *world) inheritForks() {
	p := w.primary
	own := p.m.Fork.DataID != "" && p.m.Fork.Primary == w.mem.Primary
	if own || !w.mem.History.Known() || !w.history.Descends(w.mem.History) {
		return
	}
	for _, s := range w.nodes {
		if f := &s.m.Fork; s != p && f.DataID != "" && f.Primary == w.mem.Primary {
			f.Primary, f.PrimaryData = p.n.ID, p.n.Agent.DataID
		}
	}
}

// forked says that the node's data were proven to be of another line than the
// primary's, and that nobody has replaced them since.
func (s *subject) forked() bool {
	f, p := &s.m.Fork, s.w.primary
	if f.DataID == "" || p == nil || s == p || f.Primary != p.n.ID {
		return false
	}
	return !p.agent || p.n.Agent.DataID == "" || f.PrimaryData == "" || p.n.Agent.DataID == f.PrimaryData
}

// overwritten says that the WAL in a forked node's directory need not be its own any
// more, so that neither a rewind nor the vault can go by it: it says so, it says
// something else than the proof did, or a standby's server may be writing over it.
func (s *subject) overwritten() bool {
	if !s.forked() {
		return false
	}
	l := s.measured()
	return l.Verdict != topology.LineageDiverged || l.Overwritten || s.standbyUp()
}

// forkedLineage is the verdict on a forked node, whatever its WAL says now.
func (s *subject) forkedLineage(l topology.Lineage) topology.Lineage {
	f := &s.m.Fork
	point, tli := f.Point, f.TLI
	if l.Verdict == topology.LineageDiverged && l.Point < point {
		point, tli = l.Point, l.TLI
	}
	return topology.Lineage{Source: topology.Source{At: s.w.now}, Primary: s.w.primary.n.ID,
		Verdict: topology.LineageDiverged, Point: point, TLI: tli, ProvenTo: min(f.ProvenTo, max(point, 1)),
		SameTimeline: true, OwnBytes: l.OwnBytes, StreamGap: l.StreamGap, Proof: f.Proof, DataID: f.DataID}
}
