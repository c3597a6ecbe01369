package plan

import (
	"fmt"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// gate is promise P1, the whole of it: what must be proven before a node is
// attached. It returns the code and reason of the first thing that is not.
func (s *subject) gate() (codes.Code, string) {
	p, f := s.w.primary, &s.n.SQL
	switch {
	case !s.sql || !f.InRecovery || !s.streams():
		return codes.NotStreaming, fmt.Sprintf("it does not stream from node %s on timeline %s", p.n.ID, p.n.SQL.Timeline)
	case s.n.Agent.Dir == topology.DirForeign:
		return codes.ForeignDirectory, "its data directory is not empty and contains no PostgreSQL data"
	case s.noDirectory():
		// Attached, it would be detached for this at once. PostgreSQL stops by
		// itself within a minute; the agent may also look in the wrong place.
		return codes.NoData, "its data directory is " + string(s.n.Agent.Dir) + ", so its server will not last"
	case s.verdict() != topology.LineageOnLine:
		return codes.LineageUnknown, "its WAL is not proven to match the primary's"
	case s.m.Target == 0 || s.m.TargetPrimary != p.n.ID || s.m.TargetTLI != p.n.SQL.Timeline:
		return codes.Replaying, "its verification has not started"
	case f.ReplayPaused:
		return codes.ReplayPaused, fmt.Sprintf("its replay is paused at %s", f.Replay)
	case f.Replay < s.m.Target:
		return codes.Replaying, fmt.Sprintf("it has replayed to %s of %s, where the primary was when verification began",
			f.Replay, s.m.Target)
	case s.m.AheadLSN != 0:
		return codes.Replaying, fmt.Sprintf("it is at %s, ahead of the primary's last known position: it is checked again",
			s.m.AheadLSN)
	case s.lag() > s.w.pol.MaxLagBytes:
		return codes.Replaying, fmt.Sprintf("it is %s behind the primary, and at most %s is allowed for an attach",
			size(s.lag()), size(s.w.pol.MaxLagBytes))
	}
	return "", ""
}

// lag is how many bytes of WAL the node has yet to replay.
func (s *subject) lag() uint64 { return s.w.primary.n.SQL.Current.Minus(s.n.SQL.Replay) }

// verify is for a node that streams from the primary and is detached somewhere: it
// is attached once it passes the gate; until then the decision says what is missing.
func (s *subject) verify() Decision {
	code, why := s.gate()
	switch {
	case code == "":
		return s.attach(codes.Ready, fmt.Sprintf("node %s streams from node %s on the primary's line and has replayed to %s",
			s.n.ID, s.w.primary.n.ID, s.n.SQL.Replay))
	case code == codes.LineageUnknown:
		return s.noLineage()
	case code == codes.Replaying && s.stalled():
		reason := fmt.Sprintf("node %s streams, but its replay has been stuck at %s for %s", s.n.ID, s.n.SQL.Replay,
			s.w.now.Sub(s.m.ProgressAt).Round(roundTo))
		if cause := s.replayCause(); cause != "" && s.n.SQL.Replaying() {
			reason += ": " + cause
		}
		return s.decide(Wait, codes.ReplayStalled, reason)
	}
	return s.decide(Wait, code, fmt.Sprintf("node %s streams from node %s: %s", s.n.ID, s.w.primary.n.ID, why))
}

func (s *subject) stalled() bool {
	return !s.m.ProgressAt.IsZero() && s.w.now.Sub(s.m.ProgressAt) > s.w.pol.StreamPatience
}

// attach asks for the attach, unless Pgpool-II would receive it in the middle of a
// failover, policy requires consent, or it was requested just now.
func (s *subject) attach(code codes.Code, reason string) Decision {
	if s.w.pool != agrees && s != s.w.primary && !s.w.blindForLong() {
		return s.decide(Wait, codes.PoolBlind,
			fmt.Sprintf("node %s is proven, but Pgpool-II does not recognise node %s as the primary yet", s.n.ID,
				s.w.primary.n.ID))
	}
	if s.w.pool == agrees && s.w.midFailover() {
		// The primary by which the node is proven is the one that was given up. It would
		// take the attach only after its failover, when another node may be the primary:
		// the proof would be void, and an old primary be attached. The code stays what the
		// node is, since nobody has anything to do about it.
		return s.decide(Wait, code,
			fmt.Sprintf("%s; but Pgpool-II has just given up its primary, node %s, and would attach only after its failover",
				reason, s.w.local.Primary))
	}
	if d, stop := s.mayUse(topology.MethodAttach, nil); stop {
		return d
	}
	if s.requestsIgnored() {
		return s.unresponsiveTo("attach", reason)
	}
	if pause := backoff(askAgain, nudgeMax, s.n.ID, s.m.Attaches); s.w.now.Sub(s.m.LastAttach) < pause {
		return s.decide(Wait, codes.Attaching, fmt.Sprintf("attach of node %s was requested %s ago", s.n.ID,
			s.w.now.Sub(s.m.LastAttach).Round(roundTo)))
	}
	d := s.decide(Attach, code, reason)
	d.Method = topology.MethodAttach
	return d
}

// blindForLong says that Pgpool-II has known no primary at all for longer than
// a failover takes. An attach of a proven standby then makes it look again
// (it searches after every attach), and is the gentlest way to.
func (w *world) blindForLong() bool {
	return w.local.Primary == topology.NoNode && !w.mem.PoolBlindSince.IsZero() &&
		w.now.Sub(w.mem.PoolBlindSince) >= w.pol.NudgeAfter
}
