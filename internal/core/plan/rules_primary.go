package plan

import (
	"fmt"

	"github.com/repool/repool/internal/codes"
)

// primaryRules is the table for the primary itself. others are this pass's
// decisions on the other nodes.
func primaryRules(others []Decision) []rule {
	attaching := false
	for _, d := range others {
		attaching = attaching || d.Action == Attach
	}
	return append(poolRules[:3:3],
		rule{codes.PrimaryDetached, func(s *subject) bool { return s.detached && !s.quarantined }, func(s *subject) Decision {
			return s.attach(codes.PrimaryDetached,
				fmt.Sprintf("node %s is the primary but is detached in Pgpool-II: nobody serves writes", s.n.ID))
		}},
		rule{codes.PoolBlind, func(s *subject) bool { return s.w.pool != agrees },
			func(s *subject) Decision { return s.nudge(attaching) }},
		rule{codes.Primary, func(*subject) bool { return true }, func(s *subject) Decision {
			return s.well(codes.Primary, fmt.Sprintf("the primary, on timeline %s at %s", s.n.SQL.Timeline,
				s.n.SQL.Current), "history "+s.w.history.Text())
		}},
	)
}

// nudge makes Pgpool-II search for its primary again, which it does only after an
// attach or a detach of some node. The number is bounded: after a lost follow child
// only a restart of Pgpool-II helps.
func (s *subject) nudge(attaching bool) Decision {
	w := s.w
	reason := fmt.Sprintf("node %s is the primary, but Pgpool-II %s", s.n.ID, w.poolsPrimary())
	blind := w.now.Sub(w.mem.PoolBlindSince)
	switch {
	case w.mem.PoolBlindSince.IsZero() || blind < w.pol.NudgeAfter:
		return s.decide(Wait, codes.PoolBlind, reason+"; it may be in the middle of a failover")
	case w.midFailover():
		return s.decide(Wait, codes.PoolBlind, reason+
			"; its failover command or its search for the primary may still be running")
	case attaching:
		return s.decide(Wait, codes.PoolBlind, reason+"; the attach of another node makes it look again")
	case s.quarantined:
		return s.decide(None, codes.Quarantined, reason+"; it has quarantined the primary")
	case w.nudgesIgnored(s):
		return s.refuse(codes.PoolUnresponsive, fmt.Sprintf("%s; it accepted %d nudges and carried out none", reason,
			w.mem.Nudges))
	case w.mem.Nudges >= maxNudges:
		return s.refuse(codes.PoolBlind, fmt.Sprintf("%s, after %d nudges in %s", reason, w.mem.Nudges, blind.Round(roundTo)))
	case s.n.NoFailover:
		return s.refuse(codes.PoolBlind,
			reason+"; it cannot be nudged because the node's backend_flag is DISALLOW_TO_FAILOVER")
	case w.now.Sub(w.mem.LastNudge) < backoff(w.pol.NudgeAfter, nudgeMax, s.n.ID, w.mem.Nudges):
		return s.decide(Wait, codes.PoolBlind, reason+"; it was nudged just now")
	}
	return s.decide(Nudge, codes.PoolBlind, fmt.Sprintf("%s, for %s now", reason, blind.Round(roundTo)))
}

func (w *world) poolsPrimary() string {
	if w.local == nil || w.local.Primary < 0 {
		return "knows of no primary"
	}
	return fmt.Sprintf("considers node %s the primary", w.local.Primary)
}

// midFailover says that Pgpool-II still names a primary that it marked down a short
// while ago: it sets the new one when failover_command and its search have ended, and
// a nudge now would be queued behind them and end sessions for nothing.
func (w *world) midFailover() bool {
	if w.local == nil {
		return false
	}
	v := w.local.Node(w.local.Primary)
	if v == nil || v.Attached() {
		return false
	}
	since := w.now.Sub(v.LastChange)
	return since >= 0 && since < failoverPatience // by another host's clock it may be later than now
}
