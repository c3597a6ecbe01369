package plan

import (
	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// Compared is the proof that a node's WAL up to a position is the primary's. It is
// remembered for the time when the primary has recycled its own WAL there, and nothing
// can be compared any more. The zero value: nothing was compared.
type Compared struct {
	// DataID is the directory that was compared, see topology.Inspection.DataID. The
	// proof is void for any other one.
	DataID string `json:"data_id"`
	// Primary, PrimaryData and Line are the node that it was compared with, its
	// directory and its history, see History.Text. The proof is void for any other.
	Primary     topology.NodeID `json:"primary"`
	PrimaryData string          `json:"primary_data"`
	Line        string          `json:"line"`
	// To is the end of the node's last record at the time.
	To topology.LSN `json:"to"`
}

// noteCompared remembers what was compared in this pass.
func (w *world) noteCompared() {
	if w.primary == nil || !w.primary.agent || w.primary.n.Agent.DataID == "" {
		return
	}
	for _, s := range w.nodes {
		l := s.measured()
		if s == w.primary || l.Verdict != topology.LineageOnLine || !s.agent || l.DataID == "" ||
			l.DataID != s.n.Agent.DataID {
			continue
		}
		s.m.Compared = Compared{DataID: l.DataID, Primary: l.Primary, PrimaryData: w.primary.n.Agent.DataID,
			Line: w.history.Text(), To: l.ProvenTo}
	}
}

// provenTo is up to where the node's WAL is proven to be the primary's: in this pass,
// or once before, of the same directory against the same line. Zero: it is not.
func (s *subject) provenTo() topology.LSN {
	if l := s.lineage(); l.Verdict != topology.LineageUnknown {
		return l.ProvenTo
	}
	c, p := &s.m.Compared, s.w.primary
	if c.DataID == "" || !s.agent || c.DataID != s.n.Agent.DataID || p == nil || c.Primary != p.n.ID || !p.agent ||
		c.PrimaryData != p.n.Agent.DataID || c.Line != s.w.history.Text() {
		return 0
	}
	return c.To
}

// unproven says that the directory may hold commits of the node's own before any
// divergence point, so that the vault could miss them. Where there is no usable
// directory, its agent decides.
func (s *subject) unproven(code codes.Code) bool {
	switch code {
	case codes.NoData, codes.HalfDone, codes.GarbledControl:
		return false
	case codes.Diverged:
		return s.verdict() == topology.LineageDiverged && s.provenTo() == 0
	}
	return s.provenTo() == 0
}
