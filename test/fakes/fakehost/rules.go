package fakehost

import (
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// Check looks at what must be true at every moment.
func (p *Pool) Check() {
	for _, n := range p.Nodes {
		d := n.Home()
		if d == nil {
			continue
		}
		if d.Content == HalfRewound || d.Content == HalfCopied {
			p.Violate("P4", "a %s directory stands at home of node %d", d.Content, n.ID)
		}
		if d.Copied && !d.Signal {
			p.Violate("P4", "%s, rewound or copied, stands at home of node %d without standby.signal", d.Name, n.ID)
		}
	}
}

// destroys is the moment at which a directory's own WAL goes (P3): each commit
// in it must be in a vault or on some other line.
func (p *Pool) destroys(n *Node, d *Dir, how string) {
	if d.Content != Whole || d.System != p.System {
		return
	}
	for r := d.Tip; r != nil && r.Parent != nil; r = r.Parent {
		elsewhere := false
		for _, m := range p.Nodes {
			for _, o := range m.Places {
				elsewhere = elsewhere || o != nil && o != d && o.Content == Whole && Holds(o.Tip, r)
			}
		}
		if elsewhere {
			return // and so is all before it
		}
		if r.Kind == Commit && !p.Vaulted(r) && !p.elsewhere(d, r) {
			p.Violate("P3", "%s is %s on node %d, and commit %d at %s is nowhere else", d.Name, how, n.ID, r.ID, r.Start)
			return
		}
	}
}

// Vaulted says whether some vault has the commit.
func (p *Pool) Vaulted(r *Record) bool {
	for _, m := range p.Nodes {
		if m.Vaulted[r.ID] {
			return true
		}
	}
	return false
}

// elsewhere finds the commit on a line that took it over.
func (p *Pool) elsewhere(d *Dir, r *Record) bool {
	for _, m := range p.Nodes {
		for _, o := range m.Places {
			if o == nil || o == d || o.Content != Whole {
				continue
			}
			if x := At(o.Tip, r.End); x != nil && x.ID == r.ID {
				return true
			}
		}
	}
	return false
}

// removes is the moment at which a directory goes as a whole (P3, P5).
func (p *Pool) removes(n *Node, place resync.Place, d *Dir) {
	if place == resync.Home {
		p.Violate("P5", "home of node %d is removed", n.ID)
	}
	p.destroys(n, d, "removed")
	if d.Proven && d.Content == Whole && !n.otherCopy(d) {
		p.Violate("P5", "the last good copy of node %d (%s) is removed", n.ID, d.Name)
	}
}

// NotInVain is the promise that no copy is made of a node whose data are in order, for a failure that a copy does not
// end (hazards 59 to 61).
const NotInVain = "no copy in vain"

// inVainAfter is how long such a failure must have lasted when a copy begins: the decision may be older.
const inVainAfter = 30 * time.Second

// inVain says why a copy from u would end nothing; empty: it may.
func (h *Host) inVain(u *Dir, slot string) string {
	n := h.Node
	_, d := n.Data()
	if d == nil || d.Content != Whole || d.System != u.System || d.Mixed || d.Over != nil || d.Tip.End < u.From ||
		!Holds(u.Tip, d.Tip) || d.Upstream == topology.NoNode {
		return ""
	}
	sl := u.Slots[slot]
	switch {
	case n.Refuses && n.Refused == d:
		return "its server has said that it does not start for a reason of its own"
	case sl != nil && sl.Held && time.Since(sl.HeldAt) > inVainAfter:
		return "its slot is in use by another session"
	case n.Stuck && d.Data != d.Tip && time.Since(n.StuckAt) > inVainAfter:
		return "its replay is only slow"
	}
	return ""
}
