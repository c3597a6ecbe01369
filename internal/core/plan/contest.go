package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// Contest is a pool with more than one primary in which everything that is known speaks
// for the one that Pgpool-II routes to. The zero value: there is none.
type Contest struct {
	// Node is that primary.
	Node topology.NodeID `json:"node"`
	// Since is since when each pass has seen it so. Zero: not now.
	Since time.Time `json:"since"`
}

// contestPatience is how long everything must have spoken for one primary before the
// others are stopped: longer than a failover hook takes to record a promotion, and than
// Pgpool-II takes to carry out what somebody has begun by hand.
const contestPatience = 15 * time.Second

// settle ends a contest where the evidence is complete and has lasted, see
// docs/decisions/0019. Otherwise t stays, with what was found.
func (w *world) settle(own []*subject, t trouble) (*subject, topology.History, trouble) {
	c := &w.mem.Contest
	if t.code != codes.PrimaryAmbiguous && t.code != codes.PrimaryContested {
		*c = Contest{}
		return nil, topology.History{}, t
	}
	q, missing := w.favoured(own)
	if missing != "" {
		*c = Contest{}
		t.evidence = append(t.evidence, "not settled without a person: "+missing)
		return nil, topology.History{}, t
	}
	if c.Since.IsZero() || c.Node != q.n.ID {
		*c = Contest{Node: q.n.ID, Since: w.now}
	}
	if left := contestPatience - w.now.Sub(c.Since); left > 0 {
		t.reason += fmt.Sprintf("; Pgpool-II, streaming and majority agree on node %s, and the rest is stopped in %s "+
			"if they still do", q.n.ID, left.Round(roundTo))
		return nil, topology.History{}, t
	}
	h, _ := w.historyOf(q)
	return q, h, trouble{}
}

// favoured is the primary that everything speaks for, among these that accept writes, or
// what is missing.
func (w *world) favoured(own []*subject) (*subject, string) {
	if w.local == nil || w.midFailover() {
		return nil, "Pgpool-II does not answer, or is in a failover"
	}
	q := w.node(w.local.Primary)
	if q == nil || !slices.Contains(own, q) || q.detached || q.quarantined || q.m.Asked != "" {
		return nil, "Pgpool-II routes writes to none of them, or a person wants that one resynced"
	}
	h, known := w.historyOf(q)
	if !known || !w.established(q, h) || w.overtaken(q, h) {
		return nil, fmt.Sprintf("node %s is not known as the primary from before, or a failover has replaced it",
			q.n.ID)
	}
	for i := range w.pools {
		if w.pools[i].Primary != q.n.ID {
			return nil, fmt.Sprintf("Pgpool-II %s does not consider node %s the primary", w.pools[i].Endpoint, q.n.ID)
		}
	}
	for _, o := range own {
		if why := w.notFalse(o); o != q && why != "" {
			return nil, why
		}
	}
	return q, w.following(own, q)
}

// notFalse says why o, which accepts writes too, need not be a false primary.
func (w *world) notFalse(o *subject) string {
	h, known := w.historyOf(o)
	switch {
	case o.attached || o.quarantined || !o.detached:
		return fmt.Sprintf("Pgpool-II has not detached node %s", o.n.ID)
	case !known:
		return fmt.Sprintf("the history of node %s is not known", o.n.ID)
	case w.appointed(o, h):
		return fmt.Sprintf("the failover hook has promoted node %s", o.n.ID)
	}
	return ""
}

// following says what is missing of: the standbys follow q and none of the others, and
// with q they are most of the pool.
func (w *world) following(own []*subject, q *subject) string {
	with := 1
	for _, s := range w.nodes {
		switch {
		case s.streamsFrom(q):
			with++
		case s.sender != topology.NoNode && slices.Contains(own, w.node(s.sender)):
			return fmt.Sprintf("node %s streams from node %s", s.n.ID, s.sender)
		}
	}
	if with == 1 || 2*with <= len(w.nodes) {
		return fmt.Sprintf("node %s and the standbys that stream from it are %d of %d nodes", q.n.ID, with,
			len(w.nodes))
	}
	return ""
}
