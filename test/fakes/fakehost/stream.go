package fakehost

import "github.com/repool/repool/internal/core/topology"

// upstreamOf is the node that m's settings name, if its server can be reached.
func (p *Pool) upstreamOf(m *Node) *Node {
	if m.Server.Dir.Upstream < 0 || m.Server.Dir.Upstream == m.ID {
		return nil
	}
	u := p.Nodes[m.Server.Dir.Upstream]
	if !u.Accepting() || !p.Reaches(m, u) {
		return nil
	}
	return u
}

// agree brings a standby to a consistent point, once its upstream can give it the WAL that it waits for.
func (p *Pool) agree(m *Node) {
	if !m.Server.Inconsistent {
		return
	}
	if u := p.upstreamOf(m); u != nil && mayFollow(u.Server.Dir, m.Server.Dir.Tip) {
		m.Server.Inconsistent = false
	}
}

// Stream moves WAL from a standby's upstream to it. count is the number of the moment.
func (p *Pool) Stream(m *Node, count int) {
	s := m.Server
	if s == nil || s.Primary {
		return
	}
	p.agree(m)
	if !m.Accepting() {
		return
	}
	was := s.Streaming
	s.Streaming = false
	u := p.upstreamOf(m)
	if u == nil {
		s.From = topology.NoNode
		return
	}
	ud, x := u.Server.Dir, s.Dir.Tip
	if !was && m.replaysFirst() {
		return
	}
	if ud.System != s.Dir.System || !mayFollow(ud, x) {
		return
	}
	if s.Dir.Slot != "" {
		sl := ud.Slots[s.Dir.Slot]
		if sl == nil || sl.Lost || sl.Held {
			return
		}
		sl.Restart = max(sl.Restart, x.End)
		sl.Horizon = s.Dir.horizon()
	}
	s.From = u.ID
	next := ud.Tip
	switch {
	case Holds(ud.Tip, x):
		s.Streaming, s.Dir.Over = true, nil
		for _, r := range path(x, next, 40) {
			s.Dir.Tip = r
		}
	default:
		p.streamWrong(s, ud, x, count)
		if s.Streaming {
			// The receiver begins with the segment, and writes over what was there.
			s.Dir.Over = ud.Tip
		}
	}
	if s.Streaming && !was {
		p.Note("node %d streams from node %d", m.ID, u.ID)
	}
	if s.Streaming && Holds(ud.Tip, s.Dir.Tip) {
		s.Dir.Proven = true
	}
}

// horizon is what a standby tells its upstream (hot_standby_feedback): what it has replayed, or what a slot of its own
// still wants, in use or not.
func (d *Dir) horizon() topology.LSN {
	oldest := d.Data.End
	for _, sl := range d.Slots {
		if sl.Horizon != 0 {
			oldest = min(oldest, sl.Horizon)
		}
	}
	return oldest
}

// mayFollow is what PostgreSQL itself checks, and it checks numbers: the upstream's history names the standby's
// timeline, and did not leave it before the standby's end.
func mayFollow(u *Dir, x *Record) bool {
	h := u.History()
	if h.TLI != x.TLI {
		sw, ok := h.SwitchPoint(x.TLI)
		if !ok || x.End > sw {
			return false
		}
	} else if x.End > u.Tip.End && segmentOf(x.End) != segmentOf(u.Tip.End) {
		return false
	}
	return u.From <= x.End
}

// streamWrong is a standby that has WAL of its own under its upstream's timeline number. Its receiver streams; the next
// record fits only where the boundaries agree, and else the stream breaks and begins again (hazards 5, 7).
func (p *Pool) streamWrong(s *Server, u *Dir, x *Record, count int) {
	if x.End >= u.Tip.End {
		s.Streaming = true
		return
	}
	r := after(u.Tip, x.End)
	if r != nil && r.prev() == x.Start {
		s.Streaming = true
		s.Dir.Tip = graft(x, r)
		return
	}
	s.Streaming = (count/25)%2 == 0
}

// replaysFirst says that the server has WAL of its own to replay, and asks for no stream before.
func (m *Node) replaysFirst() bool {
	return m.Stuck && m.Server.Dir.Data != m.Server.Dir.Tip
}

// Replay applies received WAL. count is the number of the moment.
func (p *Pool) Replay(m *Node, count int) {
	s := m.Server
	if s == nil || s.Primary || !m.Accepting() || s.Paused || m.Stuck || s.Dir.Data == s.Dir.Tip {
		return
	}
	n := 20
	if m.Slow {
		if count%15 != 0 {
			return
		}
		n = 1
	}
	for _, r := range path(s.Dir.Data, s.Dir.Tip, n) {
		s.Dir.Data = r
		if r.Kind == Checkpoint {
			s.Dir.Checkpointed, s.Dir.ControlTLI = r, r.TLI
		}
	}
}
