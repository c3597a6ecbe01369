package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
)

// lately is how old the truth may be that repool acts on: a fact may be as old
// as the policy's MaxFactAge, and the act takes its time.
const lately = 15 * time.Second

// justNow is how long ago a person's promotion may be that a hook need not have
// seen: it goes by answers of up to half a second (hook.answersAge), and the ways
// to the nodes take their time.
const justNow = time.Second

// Violation is a broken promise.
type Violation struct {
	Promise string        // P1 to P9
	Text    string        // what happened
	At      time.Duration // since the world began
}

// violate notes the first broken promise; the world ends with it. w.mu is held.
func (w *World) violate(promise, format string, args ...any) {
	if w.violation != nil {
		return
	}
	w.violation = &Violation{Promise: promise, Text: fmt.Sprintf(format, args...), At: time.Since(w.begun)}
	w.note("BROKEN %s: %s", promise, w.violation.Text)
}

// now notes that a strand acts, and did what it did. w.mu is held.
func (w *World) now(a *actor) {
	w.events++
	w.trail = mix(w.trail ^ a.key ^ uint64(time.Since(w.begun)))
	if w.all {
		w.trace = append(w.trace, fmt.Sprintf("%15.9fs .. %s", time.Since(w.begun).Seconds(), a.name))
	}
}

func (w *World) did(a *actor, what string) {
	w.now(a)
	w.trail = mix(w.trail ^ hashText(what))
	if w.tracing && what != "Inspect" && what != "Probe" && what != "Run" {
		w.note("  %s: %s", a.name, what)
	}
	w.check()
}

// check looks at what must be true at every moment.
func (w *World) check() {
	for _, n := range w.nodes {
		d := n.home()
		if d == nil {
			continue
		}
		if d.content == halfRewound || d.content == halfCopied {
			w.violate("P4", "a %s directory stands at home of node %d", d.content, n.id)
		}
		if d.copied && !d.signal {
			w.violate("P4", "%s, rewound or copied, stands at home of node %d without standby.signal", d.name, n.id)
		}
	}
}

// prove keeps when each node was last what P1 wants, and who led the pool.
func (w *World) prove() {
	led := topology.NoNode
	if p := w.pgpool; p.primary >= 0 && w.nodes[p.primary].writes() {
		led = p.primary
	}
	for _, n := range w.nodes {
		if n.writes() {
			n.wrote = time.Now()
			if n.id == led {
				n.led = time.Now()
			}
		}
		for _, u := range w.nodes {
			if u.writes() && (led == topology.NoNode || led == u.id) && w.proven(n, u) {
				n.proof = proof{time.Now(), u.id}
			}
		}
	}
}

// proven is the truth of P1, for a standby and a primary.
func (w *World) proven(n, u *node) bool {
	if n == u || !n.accepting() || n.srv.primary || !n.srv.streaming || n.srv.from != u.id {
		return false
	}
	d, p := n.srv.d, u.srv.d
	return d.system == p.system && !d.mixed && sameData(d.data, p.tip) && sameData(d.tip, p.tip) && p.tip.end.Minus(d.data.end) <= w.policy.MaxLagBytes
}

// attaches is the controller asking for an attach (P1).
func (w *World) attaches(b *brain, id topology.NodeID) {
	w.prove()
	n := w.nodes[id]
	if n.writes() {
		for _, m := range w.nodes {
			if m != n && m.writes() && time.Since(m.srv.ready) > lately && m.srv.d.history().Descends(n.srv.d.history()) && !w.cutLately(b.place, m) {
				w.violate("P1", "controller %d attaches node %d, a primary on a line that node %d has left behind", b.number, id, m.id)
			}
		}
		return
	}
	if time.Since(n.wrote) < lately {
		return // the primary, a moment ago
	}
	if age := time.Since(n.proof.at); age > lately {
		w.violate("P1", "controller %d attaches node %d, which has not been a proven standby for %s (%s)", b.number, id, age.Round(time.Millisecond), w.describe(n))
	}
}

// opens is Pgpool-II carrying out an attach that a controller asked for before the
// primary was replaced (P1): clients must not read a line that the new one has
// left behind, unless the hook said that it could not help it. What shows only by
// content, two lines under one number, a hook cannot see.
func (w *World) opens(r request) {
	p, n := w.pgpool, w.nodes[r.node]
	if r.asked.IsZero() || !r.asked.Before(p.promoted.at) || !n.accepting() || n.srv.primary {
		return
	}
	u := w.nodes[p.promoted.by]
	if !u.writes() || sameData(n.srv.d.data, u.srv.d.tip) || strings.Contains(p.promoted.notes, fmt.Sprintf("detached standby %d ", n.id)) {
		return
	}
	left, known := u.srv.d.history().SwitchPoint(n.srv.d.tip.tli)
	if !known || n.srv.d.tip.end <= left {
		return
	}
	w.violate("P1", "Pgpool-II attaches node %d, as was asked for %s before node %d was promoted, and it can be read and has what that one lost (%s)",
		n.id, p.promoted.at.Sub(r.asked).Round(time.Millisecond), u.id, w.describe(n))
}

// overwrites is the moment at which a node's data begin to be overwritten (P2).
func (w *World) overwrites(h *host, up topology.NodeID, how string) {
	w.prove()
	n := h.n
	if n.confirmedOf != up || time.Since(n.confirmed) > 5*time.Second || n.confirmed.Before(n.clearedAt) {
		w.violate("P2", "node %d is %s from node %d without a fresh confirmation that it is the primary", n.id, how, up)
	}
	if n.clearedRun != h.p.run {
		w.violate("P2", "node %d is %s in run %s, which nobody has cleared", n.id, how, h.p.run)
	}
	if n.srv != nil && n.srv.primary {
		w.violate("P2", "node %d is %s while its server accepts writes", n.id, how)
	}
	if b := w.pgpool.nodes[n.id]; b.attached() && time.Since(b.changed) > lately {
		w.violate("P2", "node %d is %s while Pgpool-II routes to it", n.id, how)
	}
	if u := w.nodes[up]; time.Since(u.led) > lately {
		w.violate("P2", "node %d is %s from node %d, which was not the pool's primary for %s", n.id, how, up, time.Since(u.led).Round(time.Millisecond))
	}
}

// cleared notes a clearance that an agent has taken.
func (w *World) cleared(n *node, run string) { n.clearedRun, n.clearedAt = run, time.Now() }

// noteStop is repool stopping a server: never the pool's primary, unless another
// has gone on from its line or a person agreed to have it overwritten.
func (w *World) noteStop(n *node, s *server) {
	if !s.primary || w.pgpool.primary != n.id || !w.pgpool.nodes[n.id].attached() || s.frozen || time.Since(w.pgpool.nodes[n.id].changed) < lately {
		return
	}
	for _, m := range w.nodes {
		if m != n && m.srv != nil && (!m.srv.promoteAt.IsZero() || m.srv.primary && m.srv.d.history().Descends(s.d.history())) {
			return
		}
	}
	if !w.agreed[n.id] {
		w.violate("P2", "node %d is stopped, which Pgpool-II routes writes to and whose line nobody has continued", n.id)
	}
}

// promotes is a hook telling a node to promote itself: never beside a primary
// of its own line that it could have seen.
func (w *World) promotes(n *node) {
	for _, m := range w.nodes {
		if m == n || !m.writes() || time.Since(m.srv.ready) < 5*time.Second || time.Since(m.srv.promoted) < justNow || w.cutLately(pgpoolPlace, m) {
			continue
		}
		if holds(m.srv.d.tip, n.srv.d.tip) {
			w.violate("two writers", "a hook promotes node %d while node %d, which it can reach, is the primary of its line", n.id, m.id)
		}
	}
	// Of those that it can reach, none on this line has more WAL (hazard: the
	// candidate by node id).
	for _, m := range w.nodes {
		if m == n || !m.accepting() || m.srv.primary || time.Since(m.srv.ready) < 5*time.Second || w.cutLately(pgpoolPlace, m) || !w.pgpool.attachedAtFailover[m.id] {
			continue
		}
		if holds(m.srv.d.tip, n.srv.d.tip) && m.srv.d.tip.end > n.srv.d.tip.end && m.srv.from == topology.NoNode {
			w.violate("P3", "a hook promotes node %d at %s while node %d has WAL to %s", n.id, n.srv.d.tip.end, m.id, m.srv.d.tip.end)
		}
	}
}

// cutLately says that the way between a place and a node was or is broken.
func (w *World) cutLately(p place, n *node) bool {
	return w.cut(p, n.place()) || w.cut(n.place(), p) || time.Since(n.troubled) < lately
}

// seeRun is an agent process journaling a run (P6).
func (w *World) seeRun(p *agentProcess, rec journal.Record) {
	w.cover.run(rec)
	if !rec.Live() {
		if p.run == rec.Run.ID {
			p.run = ""
		}
		return
	}
	if p.run != "" && p.run != rec.Run.ID {
		w.violate("P6", "run %s begins on node %d while run %s goes on", rec.Run.ID, p.n.id, p.run)
	}
	p.run = rec.Run.ID
}

// converged says what is still missing of a whole pool, or nothing.
func (w *World) converged() string {
	var p *node
	for _, n := range w.nodes {
		if !n.writes() {
			continue
		}
		if p != nil {
			return fmt.Sprintf("nodes %d and %d both accept writes", p.id, n.id)
		}
		p = n
	}
	switch {
	case p == nil:
		return "no node accepts writes"
	case w.pgpool.primary != p.id:
		return fmt.Sprintf("Pgpool-II holds node %s for the primary, and it is node %d", w.pgpool.primary, p.id)
	}
	for _, n := range w.nodes {
		switch {
		case !w.pgpool.nodes[n.id].attached():
			return fmt.Sprintf("node %d is not attached (%s)", n.id, w.describe(n))
		case n != p && !w.proven(n, p):
			return fmt.Sprintf("node %d is attached and no proven standby (%s)", n.id, w.describe(n))
		}
	}
	return ""
}

// describe says what a node is, for a person.
func (w *World) describe(n *node) string {
	p, d := n.data()
	text := "no directory"
	if d != nil {
		text = fmt.Sprintf("%s %s %s, timeline %d to %s", d.content, d.name, p, d.tip.tli, d.tip.end)
		if d.mixed {
			text += ", mixed"
		}
		if d.signal {
			text += fmt.Sprintf(", follows node %s", d.up)
		}
	}
	for _, p := range []resync.Place{resync.Aside, resync.New, resync.Old} {
		if n.places[p] != nil && n.places[p] != d {
			text += fmt.Sprintf(", %s there", p)
		}
	}
	text += ", server " + string(n.serverState())
	if n.srv != nil {
		switch {
		case n.srv.primary:
			text += " as a primary"
		case n.srv.streaming:
			text += fmt.Sprintf(", streams from node %d, replayed to %s", n.srv.from, n.srv.d.data.end)
		}
	}
	if !n.up {
		text += ", host down"
	}
	return text
}
