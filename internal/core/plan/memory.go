package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// countRuns counts runs that ended since the last pass. A run that ended because
// the world changed is not a failed attempt of its method. The pause begins now: the
// end of a run has its host's time.
func (w *world) countRuns() {
	for _, s := range w.nodes {
		r := s.n.Agent.Run
		if !s.agent || r == nil || r.ID == "" || !r.Outcome.Ended() || r.ID == s.m.SeenRun {
			continue
		}
		s.m.SeenRun, s.m.LastResync = r.ID, time.Time{}
		s.m.noteOwn(r, s.n.Agent.ConfigID)
		if r.Outcome == topology.RunDone {
			continue
		}
		s.m.LastFailure, s.m.LastMethod, s.m.LastCode, s.m.LastError = w.now, r.Method, r.Code, r.Error
		if s.m.LastCode == "" {
			s.m.LastCode = codes.Code(r.Outcome)
		}
		if r.Outcome == topology.RunCancelled || worldChanged(r.Code) {
			continue
		}
		s.m.Attempts++
		if s.m.Attempts >= w.pol.MaxAttempts && s.m.Parked == "" {
			why := fmt.Sprintf("%s failed %d times, last with %s: %s", r.Method, s.m.Attempts, s.m.LastCode, word(r.Error))
			s.m.park(s.m.LastCode, why, w.now)
		}
	}
}

// worldChanged says that a run's end says nothing about its method: the world has
// changed, or what ended it is in no data.
func worldChanged(c codes.Code) bool {
	switch c {
	case codes.UpstreamLost, codes.UpstreamChanged, codes.NoClearance, codes.Cancelled, codes.ServerConfig,
		codes.SlotHeld, codes.ReplayStalled, codes.ReplayPaused:
		return true
	}
	return false
}

func (m *NodeMemory) park(code codes.Code, why string, now time.Time) {
	if _, known := codes.Explain(code); !known {
		code = codes.Parked
	}
	m.Parked, m.ParkedWhy, m.ParkedAt = code, why, now
}

// retryAt is the earliest time of the next attempt.
func (s *subject) retryAt() time.Time {
	if s.m.LastFailure.IsZero() {
		return time.Time{}
	}
	pause := backoff(s.w.pol.BackoffBase, s.w.pol.BackoffMax, s.n.ID, s.m.Attempts)
	return s.m.LastFailure.Add(max(pause, softBackoff))
}

// noteStreams keeps the clocks of P1: since when a node has not streamed, the
// position that it must replay to, and whether its replay moves.
func (w *world) noteStreams() {
	for _, s := range w.nodes {
		switch {
		case w.primary == nil:
			s.m.NotStreamingSince = time.Time{}
		case s == w.primary:
			s.beginPrimary()
		case s.streams():
			s.noteProgress()
		case s.senderUnknown():
			s.notePace()
		default:
			s.m.HealthySince = time.Time{}
			if s.m.NotStreamingSince.IsZero() {
				s.m.NotStreamingSince = w.now
				s.noteBreak()
			}
			s.m.Target = 0
		}
		s.noteAhead()
		s.noteHeld()
	}
	w.noteAgreement()
}

// notePace keeps since when a node whose sender is unknown has not received what the
// primary writes: it has neither reached the primary's position of the pass before, nor
// received anything since.
func (s *subject) notePace() {
	m, f := &s.m, &s.n.SQL
	m.HealthySince, m.Target = time.Time{}, 0
	if m.NotStreamingSince.IsZero() || f.Receive >= m.PaceMark || f.Receive > m.PaceLSN {
		m.NotStreamingSince = s.w.now
	}
	m.PaceMark, m.PaceLSN = s.w.primary.n.SQL.Current, f.Receive
}

// beginPrimary forgets what was remembered of the node as a standby.
func (s *subject) beginPrimary() {
	m := &s.m
	m.Target, m.TargetPrimary, m.NotStreamingSince, m.HealthySince = 0, topology.NoNode, time.Time{}, time.Time{}
	m.StreamBreaks, m.StreamLSN = 0, 0
	if s.w.pool == agrees {
		m.Asked, m.Attempts, m.Fences = "", 0, 0
		m.unpark()
		if !s.detached {
			m.Attaches = 0
		}
	}
}

// noteAhead keeps since when a streaming node is past the primary's position.
func (s *subject) noteAhead() {
	m, p := &s.m, s.w.primary
	if p == nil || s == p || !s.streams() || m.AheadTLI != p.n.SQL.Timeline || p.n.SQL.Current >= m.AheadLSN {
		m.AheadLSN, m.AheadTLI, m.AheadAt = 0, 0, time.Time{}
	}
	if p != nil && s != p && s.streams() && m.AheadLSN == 0 && s.n.SQL.Replay > p.n.SQL.Current {
		m.AheadLSN, m.AheadTLI, m.AheadAt = s.n.SQL.Replay, p.n.SQL.Timeline, s.w.now
	}
}

func (s *subject) noteProgress() {
	p, m, f := s.w.primary, &s.m, &s.n.SQL
	m.NotStreamingSince = time.Time{}
	if f.Replay != m.StreamLSN || f.Replay >= p.n.SQL.Current || f.ReplayPaused {
		m.StreamBreaks, m.StreamLSN = 0, f.Replay
	}
	if m.Target == 0 || m.TargetPrimary != p.n.ID || m.TargetTLI != p.n.SQL.Timeline {
		m.Target, m.TargetPrimary, m.TargetTLI = p.n.SQL.Current, p.n.ID, p.n.SQL.Timeline
		m.ProgressAt, m.ProgressLSN = s.w.now, f.Replay
	}
	if f.Replay != m.ProgressLSN || f.Replay >= p.n.SQL.Current {
		m.ProgressAt, m.ProgressLSN = s.w.now, f.Replay
	}
	if !s.attached || s.detached || s.foreign {
		m.HealthySince = time.Time{}
		return
	}
	m.Target, m.Asked = 0, "" // nothing to verify; the request is fulfilled
	if m.HealthySince.IsZero() {
		m.HealthySince = s.w.now
	}
	if s.w.now.Sub(m.HealthySince) >= s.w.pol.StableFor {
		m.Attempts, m.Attaches, m.Fences, m.ConfigFailures = 0, 0, 0, 0
		m.LastCode, m.LastError, m.LastMethod, m.LastFailure = "", "", "", time.Time{}
		m.unpark()
	}
}

// noteBreak counts the end of a stream during which replay has not moved.
func (s *subject) noteBreak() {
	m := &s.m
	if m.StreamLSN == 0 || !s.sql || s.n.SQL.Replay != m.StreamLSN || s.n.SQL.Replaying() {
		return
	}
	if m.StreamBreaks == 0 || s.w.now.Sub(m.BrokeFirst) > breaksWithin && m.StreamBreaks < maxBreaks {
		m.StreamBreaks, m.BrokeFirst = 0, s.w.now
	}
	m.StreamBreaks++
}

// maxBreaks is how often, and breaksWithin how fast, a stream may end before its node
// counts as one that cannot follow. PostgreSQL reconnects every
// wal_retrieve_retry_interval, by default 5 s. A replay that waits for hours, as for a
// conflict, loses its connection now and then and must not count.
const (
	maxBreaks    = 4
	breaksWithin = 2 * time.Minute
)

// streamBreaks says that the node's stream starts and ends without moving anything,
// again and again: what the primary sends does not continue what the node has
// replayed ("incorrect prev-link"), whatever its WAL contains by now.
func (s *subject) streamBreaks() bool { return s.m.StreamBreaks >= maxBreaks }

// noteAgreement learns the primary once Pgpool-II agrees, and otherwise keeps
// count of how long it has not.
func (w *world) noteAgreement() {
	switch {
	case w.primary == nil || w.local == nil:
		w.mem.PoolBlindSince = time.Time{}
	case w.pool == agrees:
		if !w.remembers() || w.mem.Primary != w.primary.n.ID || w.mem.SystemID != w.primary.n.SQL.SystemID ||
			!w.mem.History.Equal(w.history) {
			w.newPrimary()
		}
		w.mem.PoolBlindSince, w.mem.LastNudge, w.mem.Nudges = time.Time{}, time.Time{}, 0
	case w.mem.PoolBlindSince.IsZero():
		w.mem.PoolBlindSince = w.now
	}
}

// newPrimary remembers the primary. What failed against the previous one says
// nothing about this one, and that Pgpool-II detached every standby when it gave up
// the previous one is not flapping. A parked node stays parked all the same.
func (w *world) newPrimary() {
	p := w.primary
	w.inheritForks()
	w.mem.Primary, w.mem.SystemID = p.n.ID, p.n.SQL.SystemID
	w.mem.History = cloneHistory(w.history)
	for _, s := range w.nodes {
		s.m.Attempts, s.m.Attaches, s.m.LastAttach = 0, 0, time.Time{}
	}
}

func cloneHistory(h topology.History) topology.History {
	h.Ancestors = slices.Clone(h.Ancestors)
	return h
}
