package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/test/fakes/fakehost"
)

// lately is how old the truth may be that repool acts on: a fact may be as old
// as the policy's MaxFactAge, and the act takes its time.
const lately = 15 * time.Second

// justNow is how long ago a person's promotion may be that a hook need not have
// seen: it goes by answers of up to half a second (hook.answersAge), and the ways
// to the nodes take their time.
const justNow = time.Second

// wellFor is how long a standby must have been well before its detach breaks P12: what was
// known of it may be that old, and a node without its stream is detached after the
// policy's FollowGrace, which is longer.
const wellFor = 8 * time.Second

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

// now notes that an actor acts, and did what it did. w.mu is held.
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
	w.Check()
}

// prove keeps when each node was last what P1 wants, and who led the pool.
func (w *World) prove() {
	led := topology.NoNode
	if p := w.pgpool; p.primary >= 0 && w.nodes[p.primary].Writes() {
		led = p.primary
	}
	for _, n := range w.nodes {
		if n.Writes() {
			n.wrote = time.Now()
			if n.ID == led {
				n.led = time.Now()
			}
		}
		for _, u := range w.nodes {
			if u.Writes() && (led == topology.NoNode || led == u.ID) && w.proven(n, u) {
				n.proof = proof{time.Now(), u.ID}
			}
		}
		switch well := led != topology.NoNode && w.proven(n, w.nodes[led]) && w.soleWriter() &&
			fakehost.Holds(w.nodes[led].Server.Dir.Tip, n.Server.Dir.Tip); {
		case !well:
			n.wellSince = time.Time{}
		case n.wellSince.IsZero():
			n.wellSince = time.Now()
		}
	}
}

// soleWriter says that one node accepts writes, and no other.
func (w *World) soleWriter() bool {
	writers := 0
	for _, n := range w.nodes {
		if n.Writes() {
			writers++
		}
	}
	return writers == 1
}

// detaches is the controller asking for a detach: never of a standby that has been what
// P1 wants for long, however its settings spell the primary (P12).
func (w *World) detaches(b *controllerHost, id topology.NodeID) {
	w.prove()
	n := w.nodes[id]
	if n.wellSince.IsZero() || time.Since(n.wellSince) < wellFor || w.cutLately(b.place, n) || w.agreed[id] {
		return
	}
	w.violate("P12", "controller %d detaches node %d, which has been a proven standby for %s (%s)", b.number, id,
		time.Since(n.wellSince).Round(time.Millisecond), w.describe(n))
}

// proven is the truth of P1, for a standby and a primary.
func (w *World) proven(n, u *node) bool {
	if n == u || !n.Accepting() || n.Server.Primary || !n.Server.Streaming || n.Server.From != u.ID {
		return false
	}
	d, p := n.Server.Dir, u.Server.Dir
	return d.System == p.System && !d.Mixed && fakehost.SameData(d.Data, p.Tip) && fakehost.SameData(d.Tip, p.Tip) &&
		p.Tip.End.Minus(d.Data.End) <= w.policy.MaxLagBytes
}

// attaches is the controller asking for an attach (P1).
func (w *World) attaches(b *controllerHost, id topology.NodeID) {
	w.prove()
	n := w.nodes[id]
	if n.Writes() {
		for _, m := range w.nodes {
			if m != n && m.Writes() && time.Since(m.Server.Ready) > lately && !w.agreed[m.ID] &&
				m.Server.Dir.History().Descends(n.Server.Dir.History()) && !w.cutLately(b.place, m) {
				w.violate("P1", "controller %d attaches node %d, a primary on a line that node %d has left behind", b.number, id,
					m.ID)
			}
		}
		return
	}
	if time.Since(n.wrote) < lately {
		return // the primary, a moment ago
	}
	if age := time.Since(n.proof.at); age > lately {
		w.violate("P1", "controller %d attaches node %d, which has not been a proven standby for %s (%s)", b.number, id,
			age.Round(time.Millisecond), w.describe(n))
	}
}

// newest is the primary with the highest timeline, or nil.
func (w *World) newest() (top *node) {
	for _, n := range w.nodes {
		if n.Writes() && (top == nil || n.Server.Dir.Tip.TLI > top.Server.Dir.Tip.TLI) {
			top = n
		}
	}
	return top
}

// follows says that n streams from u, on its timeline.
func (n *node) follows(u *node) bool {
	s := n.Server
	return !s.Primary && s.Streaming && s.From == u.ID && s.Dir.Tip.TLI == u.Server.Dir.Tip.TLI
}

// staysAttached is P1 at every moment after the faults, by the rule of package promise: no node stays attached without
// the primary's stream.
func (w *World) staysAttached() {
	top := w.newest()
	for _, n := range w.nodes {
		attached := w.pgpool.nodes[n.ID].attached()
		if !w.calm || top == nil || n == top || !attached || !n.Accepting() || n.follows(top) {
			w.attached.Fine(int(n.ID))
			continue
		}
		if d := w.attached.Astray(time.Now(), int(n.ID), w.disturbed); d > 0 {
			w.violate("P1", "node %d has been attached for %s without the stream of the primary, node %d (%s)", n.ID,
				d.Round(time.Second), top.ID, w.describe(n))
		}
	}
}

// opens is Pgpool-II executing an attach that a controller requested before the primary was replaced: the first rule of
// package promise. Clients must not read a line that the new primary has left behind, unless the hook said that it
// could
// not help it. What shows only by content, two lines under one number, a hook cannot see.
func (w *World) opens(r request) {
	p, n := w.pgpool, w.nodes[r.node]
	if r.asked.IsZero() || !r.asked.Before(p.promoted.at) || !n.Accepting() || n.Server.Primary {
		return
	}
	u := w.nodes[p.promoted.by]
	if !u.Writes() || fakehost.SameData(n.Server.Dir.Data, u.Server.Dir.Tip) || strings.Contains(p.promoted.notes,
		fmt.Sprintf("detached standby %d ", n.ID)) {
		return
	}
	left, known := u.Server.Dir.History().SwitchPoint(n.Server.Dir.Tip.TLI)
	if !known || n.Server.Dir.Tip.End <= left {
		return
	}
	w.violate("P1", "Pgpool-II attaches node %d, as was requested %s before node %d was promoted, and it can be read "+
		"and has "+
		"rows that node %d does not have (%s)",
		n.ID, p.promoted.at.Sub(r.asked).Round(time.Millisecond), u.ID, u.ID, w.describe(n))
}

// Overwrites is the moment at which a node's data begin to be overwritten (P2).
func (p *agentProcess) Overwrites(up topology.NodeID, how string) {
	w, n := p.n.w, p.n
	w.prove()
	if n.confirmedOf != up || time.Since(n.confirmed) > 5*time.Second || n.confirmed.Before(n.clearedAt) {
		w.violate("P2", "node %d is %s from node %d without a fresh confirmation that it is the primary", n.ID, how, up)
	}
	if n.clearedRun != p.run {
		w.violate("P2", "node %d is %s in run %s, which nobody has cleared", n.ID, how, p.run)
	}
	if n.Server != nil && n.Server.Primary {
		w.violate("P2", "node %d is %s while its server accepts writes", n.ID, how)
	}
	if b := w.pgpool.nodes[n.ID]; b.attached() && time.Since(b.changed) > lately {
		w.violate("P2", "node %d is %s while Pgpool-II routes to it", n.ID, how)
	}
	if u := w.nodes[up]; time.Since(u.led) > lately {
		w.violate("P2", "node %d is %s from node %d, which was not the pool's primary for %s", n.ID, how, up,
			time.Since(u.led).Round(time.Millisecond))
	}
}

// cleared notes a clearance that an agent has taken.
func (w *World) cleared(n *node, run string) { n.clearedRun, n.clearedAt = run, time.Now() }

// Stops is repool stopping a server: never the pool's primary, unless another has gone on from its line or a person
// agreed to have it overwritten (P2).
func (p *agentProcess) Stops(s *fakehost.Server) {
	w, n := p.n.w, p.n
	if !s.Primary || w.pgpool.primary != n.ID || !w.pgpool.nodes[n.ID].attached() || s.Frozen ||
		time.Since(w.pgpool.nodes[n.ID].changed) < lately {
		return
	}
	for _, m := range w.nodes {
		if m != n && m.Server != nil && (!m.Server.PromoteAt.IsZero() || m.Server.Primary &&
			m.Server.Dir.History().Descends(s.Dir.History())) {
			return
		}
	}
	if !w.agreed[n.ID] {
		w.violate("P2", "node %d is stopped, which Pgpool-II routes writes to and whose line nobody has continued", n.ID)
	}
}

// promotes is a hook telling a node to promote itself: never beside a primary
// of its own line that it could have seen.
func (w *World) promotes(b *controllerHost, n *node) {
	w.keepsAcknowledged(b, n)
	for _, m := range w.nodes {
		if m == n || !m.Writes() || time.Since(m.Server.Ready) < 5*time.Second || time.Since(m.Server.Promoted) < justNow ||
			w.cutLately(pgpoolPlace, m) {
			continue
		}
		if fakehost.Holds(m.Server.Dir.Tip, n.Server.Dir.Tip) {
			w.violate("two writers", "a hook promotes node %d while node %d, which it can reach, is the primary of its line",
				n.ID, m.ID)
		}
	}
	// Of those that it can reach, none on this line has more WAL (hazard: the
	// candidate by node id).
	for _, m := range w.nodes {
		if m == n || !m.Accepting() || m.Server.Primary || time.Since(m.Server.Ready) < 5*time.Second ||
			w.cutLately(pgpoolPlace, m) || !w.pgpool.attachedAtFailover[m.ID] {
			continue
		}
		if fakehost.Holds(m.Server.Dir.Tip, n.Server.Dir.Tip) && m.Server.Dir.Tip.End > n.Server.Dir.Tip.End &&
			m.Server.From == topology.NoNode && w.SyncNames == "" {
			w.violate("P3", "a hook promotes node %d at %s while node %d has WAL to %s", n.ID, n.Server.Dir.Tip.End, m.ID,
				m.Server.Dir.Tip.End)
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
		w.violate("P6", "run %s begins on node %d while run %s goes on", rec.Run.ID, p.n.ID, p.run)
	}
	p.run = rec.Run.ID
}
