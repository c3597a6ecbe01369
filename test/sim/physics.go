package sim

import (
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// tick is how often servers, streams and clients move on.
const tick = 100 * time.Millisecond

// physics is the world's own course, until the world ends.
func (w *World) physics() {
	a := w.actor("physics")
	rng := dice{hashOf(w.seed, 77)}
	for n := 0; w.life.Err() == nil; n++ {
		a.wait(tick, tick)
		w.mu.Lock()
		w.now(a)
		for _, n := range w.nodes {
			w.settleServer(n)
		}
		for _, m := range w.nodes {
			w.stream(m, n)
			w.replay(m, n)
		}
		w.clients(&rng)
		w.prove()
		w.mu.Unlock()
	}
}

// settleServer lets a promotion that was asked for happen, and a late
// checkpoint.
func (w *World) settleServer(n *node) {
	s := n.srv
	if s == nil || s.frozen || !n.up {
		return
	}
	if !s.promoteAt.IsZero() && !time.Now().Before(s.promoteAt) && !s.primary {
		w.promote(n)
	}
	if s.primary && s.d.controlTLI != s.d.tip.tli && w.begun.Add(w.lazyCheckpoint).Before(time.Now()) {
		w.checkpointNow(n)
		w.lazyCheckpoint = time.Since(w.begun) + 20*time.Second
	}
}

// upstreamOf is the node that m's settings name, if its server can be reached.
func (w *World) upstreamOf(m *node) *node {
	if m.srv.d.up < 0 || m.srv.d.up == m.id {
		return nil
	}
	u := w.nodes[m.srv.d.up]
	if !u.accepting() || w.cut(m.place(), u.place()) || w.cut(u.place(), m.place()) {
		return nil
	}
	return u
}

// stream moves WAL from a standby's upstream to it.
func (w *World) stream(m *node, count int) {
	s := m.srv
	if s == nil || s.primary || !m.accepting() {
		return
	}
	was := s.streaming
	s.streaming = false
	u := w.upstreamOf(m)
	if u == nil {
		s.from = topology.NoNode
		return
	}
	ud, x := u.srv.d, s.d.tip
	if ud.system != s.d.system || !mayFollow(ud, x) {
		return
	}
	if s.d.slot != "" {
		sl := ud.slots[s.d.slot]
		if sl == nil || sl.lost {
			return
		}
		sl.active = true
		sl.restart = max(sl.restart, x.end)
	}
	s.from = u.id
	next := ud.tip
	switch {
	case holds(ud.tip, x):
		s.streaming, s.d.over = true, nil
		for _, r := range path(x, next, 40) {
			s.d.tip = r
		}
	default:
		w.streamWrong(s, ud, x, count)
		if s.streaming {
			// The receiver begins with the segment, and writes over what was there.
			s.d.over = ud.tip
		}
	}
	if s.streaming && !was {
		w.note("node %d streams from node %d", m.id, u.id)
	}
	if s.streaming && holds(ud.tip, s.d.tip) {
		s.d.proven = true
	}
}

// mayFollow is what PostgreSQL itself checks, and it checks numbers: the
// upstream's history names the standby's timeline, and did not leave it before
// the standby's end.
func mayFollow(u *dir, x *record) bool {
	h := u.history()
	if h.TLI != x.tli {
		sw, ok := h.SwitchPoint(x.tli)
		if !ok || x.end > sw {
			return false
		}
	} else if x.end > u.tip.end && segmentOf(x.end) != segmentOf(u.tip.end) {
		return false
	}
	return u.from <= x.end
}

// streamWrong is a standby that holds WAL of its own under its upstream's
// timeline number. Its receiver streams; the next record fits only where the
// boundaries agree, and else the stream breaks and begins again (hazards 5, 7).
func (w *World) streamWrong(s *server, u *dir, x *record, count int) {
	if x.end >= u.tip.end {
		s.streaming = true
		return
	}
	r := after(u.tip, x.end)
	if r != nil && r.prev() == x.start {
		s.streaming = true
		s.d.tip = graft(x, r)
		return
	}
	s.streaming = (count/25)%2 == 0
}

// replay applies received WAL.
func (w *World) replay(m *node, count int) {
	s := m.srv
	if s == nil || s.primary || !m.accepting() || s.paused || s.d.data == s.d.tip {
		return
	}
	n := 20
	if m.slow {
		if count%15 != 0 {
			return
		}
		n = 1
	}
	for _, r := range path(s.d.data, s.d.tip, n) {
		s.d.data = r
		if r.kind == checkpoint {
			s.d.checkpointed, s.d.controlTLI = r, r.tli
		}
	}
}

// clients write to whatever Pgpool-II routes writes to, and a few straight to
// every other node that lets them.
func (w *World) clients(rng *dice) {
	routed := topology.NoNode
	if p := w.pgpool; p.up && p.primary >= 0 && p.nodes[p.primary].attached() {
		routed = p.primary
	}
	for _, n := range w.nodes {
		share := 3
		if n.id == routed && !w.cut(w.pgpool.place(), n.place()) {
			share = 35
		}
		size := uint64(rng.below(4000) + 64)
		hit := rng.chance(share)
		if !hit || !n.writes() || w.calm && n.id != routed {
			continue
		}
		if w.burst && n.id == routed {
			size += 96 << 10
		}
		n.srv.d.tip = w.write(n.srv.d.tip, commit, size)
		n.srv.d.data = n.srv.d.tip
	}
}
