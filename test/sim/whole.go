package sim

import (
	"fmt"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// converged says what is still missing of a whole pool, or nothing.
func (w *World) converged() string {
	var p *node
	for _, n := range w.nodes {
		if !n.Writes() {
			continue
		}
		if p != nil {
			return fmt.Sprintf("nodes %d and %d both accept writes", p.ID, n.ID)
		}
		p = n
	}
	switch {
	case p == nil:
		return "no node accepts writes"
	case w.pgpool.primary != p.ID:
		return fmt.Sprintf("Pgpool-II considers node %s the primary, and it is node %d", w.pgpool.primary, p.ID)
	}
	for _, n := range w.nodes {
		switch {
		case !w.pgpool.nodes[n.ID].attached():
			return fmt.Sprintf("node %d is not attached (%s)", n.ID, w.describe(n))
		case n != p && !w.proven(n, p):
			return fmt.Sprintf("node %d is attached and not a proven standby (%s)", n.ID, w.describe(n))
		}
	}
	return ""
}

// nothingLeft is the promise that nothing of repool's holds space or a horizon in a pool that is whole again.
const nothingLeft = "nothing left"

// leftOver says what is still left in a pool that is whole, or nothing.
func (w *World) leftOver() string {
	p, oldest := w.newest(), topology.LSN(0)
	for _, n := range w.nodes {
		if n == p || !n.Accepting() {
			continue
		}
		if end := n.Server.Dir.Data.End; oldest == 0 || end < oldest {
			oldest = end
		}
		for _, name := range sorted(n.Server.Dir.Slots) {
			if _, ours := topology.SlotNode(name); ours && !w.Uses(n.Node, name) {
				return fmt.Sprintf("node %d, a standby, has the idle slot %s", n.ID, name)
			}
		}
	}
	if p == nil {
		return ""
	}
	was := w.oldest
	w.oldest = oldest // at the next look all feedback of this moment has arrived
	for _, n := range w.nodes {
		sl := p.Server.Dir.Slots[topology.SlotName(n.ID)]
		if sl != nil && n != p && n.Accepting() && n.Server.Dir.Slot != "" && sl.Horizon < was {
			return fmt.Sprintf("the slot of node %d holds VACUUM back to %s on node %d, and every standby has "+
				"replayed to %s", n.ID, sl.Horizon, p.ID, was)
		}
	}
	return ""
}

// describe says what a node is, for a person.
func (w *World) describe(n *node) string {
	p, d := n.Data()
	text := "no directory"
	if d != nil {
		text = fmt.Sprintf("%s %s %s, timeline %d to %s", d.Content, d.Name, p, d.Tip.TLI, d.Tip.End)
		if d.Mixed {
			text += ", mixed"
		}
		if d.Signal {
			text += fmt.Sprintf(", follows node %s", d.Upstream)
		}
	}
	for _, p := range []resync.Place{resync.InRepair, resync.New, resync.Old} {
		if n.Places[p] != nil && n.Places[p] != d {
			text += fmt.Sprintf(", %s there", p)
		}
	}
	text += ", server " + string(n.State())
	if n.Server != nil {
		switch {
		case n.Server.Primary:
			text += " as a primary"
		case n.Server.Streaming:
			text += fmt.Sprintf(", streams from node %d, replayed to %s", n.Server.From, n.Server.Dir.Data.End)
		}
	}
	if !n.Up {
		text += ", host down"
	}
	return text
}
