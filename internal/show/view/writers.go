package view

import (
	"fmt"
	"strings"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// writersOf are the nodes whose servers say that they are not in recovery, in the order of their ids.
func writersOf(snap *topology.Snapshot) []topology.NodeID {
	var ids []topology.NodeID
	for i := range snap.Nodes {
		if n := &snap.Nodes[i]; n.SQL.OK() && !n.SQL.InRecovery {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// primaryOf is the node that accepts writes. Of several it is the one that repool has decided on; else the one to
// which Pgpool-II sends writes; else the one on the newest timeline.
func primaryOf(st *control.Status) *topology.Node {
	var primary *topology.Node
	best, to := -1, writesTo(&st.Snapshot)
	for _, id := range writersOf(&st.Snapshot) {
		n, rank := st.Snapshot.Node(id), 0
		for _, d := range st.Decisions {
			if d.Node == id && (d.Code == codes.Primary || d.Code == codes.PrimaryDetached) {
				rank = 2
			}
		}
		if rank == 0 && id == to {
			rank = 1
		}
		if rank > best || rank == best && n.SQL.Timeline > primary.SQL.Timeline {
			primary, best = n, rank
		}
	}
	return primary
}

// writesTo is the node to which the first Pgpool-II that answers sends writes.
func writesTo(snap *topology.Snapshot) topology.NodeID {
	for i := range snap.Pools {
		if p := &snap.Pools[i]; p.OK() {
			if n := p.Node(p.Primary); n != nil && n.Attached() {
				return p.Primary
			}
			return topology.NoNode
		}
	}
	return topology.NoNode
}

// severalWriters is the headline of a pool in which more than one node accepts writes.
func severalWriters(ids []topology.NodeID) string {
	count := fmt.Sprint(len(ids))
	if len(ids) == 2 {
		count = "TWO"
	}
	names := nodeNames(ids)
	return fmt.Sprintf("%s nodes accept writes: %s", count, listed(names))
}

// whichToKeep completes the decision about several writers that only a person can settle: with two of them, it
// names the one that stays if nothing else is known, the one that clients have written to.
func (w *Work) whichToKeep(v *View) {
	if c := w.Decision.Code; c != codes.PrimaryAmbiguous && c != codes.PrimaryContested || len(v.Writers) != 2 {
		return
	}
	keep, other := v.Writers[0], v.Writers[1]
	if v.WritesTo == other {
		keep, other = other, keep
	}
	if v.WritesTo != keep {
		return
	}
	w.Decision.Hint = fmt.Sprintf("compare them: repool plan; then, to keep node %s, where Pgpool-II sends writes, and "+
		"overwrite node %s: repool resync %s --yes", keep, other, other)
}

func nodeNames(ids []topology.NodeID) []string {
	var names []string
	for _, id := range ids {
		names = append(names, id.String())
	}
	return names
}

// listed joins names as in a sentence: "0", "0 and 1", "0, 1 and 2".
func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
