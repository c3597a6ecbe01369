package plan

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// Ignored is what Pgpool-II has not reacted to. Count zero: nothing.
type Ignored struct {
	// Count is how many requests were made of it since Since, or what its count of
	// failed health checks was at Since.
	Count int       `json:"count"`
	Since time.Time `json:"since"`
	// Mark is Pgpool-II's newest change of any node's status then. A later change
	// shows that it still carries something out, or was restarted.
	Mark time.Time `json:"mark"`
}

// Pgpool-II 4.3 to 4.5 can become unresponsive: it answers over PCP, accepts every
// request, and carries out none until it is restarted. One that looks for its primary
// at its start, while clients connect and a node is down, accepts ten requests of its
// own processes and drops the signal for them ("ignoring the failover request, since
// we are still starting up", pgpool_main.c); the queue is full then, accepts no other
// request, and nobody looks at it again. Such a Pgpool-II may route correctly for
// weeks, until a node fails: it does not fail over, either.

// lastChange is the newest change of any node's status in any Pgpool-II.
func (w *world) lastChange() (at time.Time) {
	for _, p := range w.pools {
		for _, v := range p.Nodes {
			if v.LastChange.After(at) {
				at = v.LastChange
			}
		}
	}
	return at
}

// noteIgnored forgets requests that Pgpool-II has carried out, or may yet: it has
// changed some status since, or could not be asked.
func (w *world) noteIgnored() {
	mark := w.lastChange()
	for _, s := range w.nodes {
		u := &s.m.IgnoredRequests
		if u.Count == 0 || w.local == nil || !u.Mark.Equal(mark) {
			*u = Ignored{Mark: mark}
		}
		s.noteIgnoredChecks(mark)
	}
}

// noteIgnoredChecks keeps since when Pgpool-II's own health check of an attached
// node has failed without a failover.
func (s *subject) noteIgnoredChecks(mark time.Time) {
	u := &s.m.IgnoredChecks
	v := s.w.localView(s.n.ID)
	if v == nil || !v.Attached() || s.n.NoFailover || s.sql || v.Checks.Fail == 0 ||
		!u.Since.IsZero() && (!u.Mark.Equal(mark) || v.Checks.Fail < u.Count) {
		*u = Ignored{}
		return
	}
	if u.Since.IsZero() {
		*u = Ignored{Count: v.Checks.Fail, Since: s.w.now, Mark: mark}
	}
}

// add counts one more request. Mark is of the Step that proposed it.
func (u *Ignored) add(now time.Time) {
	if u.Count == 0 {
		u.Since = now
	}
	u.Count++
}

func (w *world) localView(id topology.NodeID) *topology.PoolNode {
	if w.local == nil {
		return nil
	}
	return w.local.Node(id)
}

// heldUp says that Pgpool-II may only be waiting for a frozen server: it goes on when
// the server has ended or answers.
func (w *world) heldUp() bool {
	for _, s := range w.nodes {
		if s.attached && s.agent && s.n.Agent.Server == topology.ServerFrozen {
			return true
		}
	}
	return false
}

// requestsIgnored says that the attaches or detaches of the node led to nothing, for
// longer than anything that Pgpool-II does between two requests.
func (s *subject) requestsIgnored() bool {
	u := s.m.IgnoredRequests
	return u.Count >= maxIgnoredRequests && s.w.now.Sub(u.Since) >= ignoredPatience && !s.w.heldUp()
}

// unresponsiveTo is the refusal that follows: more requests would only fill its queue.
func (s *subject) unresponsiveTo(what, reason string) Decision {
	u := s.m.IgnoredRequests
	return s.refuse(codes.PoolUnresponsive, fmt.Sprintf("%s; Pgpool-II accepted %d %s requests in %s and carried out none",
		reason, u.Count, what, s.w.now.Sub(u.Since).Round(roundTo)),
		"Pgpool-II has not changed the status of any node since "+u.Mark.UTC().Format(time.RFC3339))
}

// checksIgnored says that Pgpool-II's own health check finds the node dead, again and
// again, without a failover.
func (s *subject) checksIgnored() bool {
	u, v := s.m.IgnoredChecks, s.w.localView(s.n.ID)
	return v != nil && !u.Since.IsZero() && v.Checks.Fail-u.Count >= maxIgnoredChecks &&
		s.w.now.Sub(u.Since) >= ignoredPatience && !s.w.heldUp()
}

// noFailover is the trouble that follows when the node is the last primary.
func (s *subject) noFailover() trouble {
	u, v := s.m.IgnoredChecks, s.w.localView(s.n.ID)
	return trouble{codes.PoolUnresponsive,
		fmt.Sprintf("node %s, the last primary, does not answer, and Pgpool-II does not fail over: "+
			"%d of its own health checks have failed in %s, and it still routes to the node",
			s.n.ID, v.Checks.Fail-u.Count, s.w.now.Sub(u.Since).Round(roundTo)), s.common()}
}

// nudgesIgnored says that Pgpool-II carries out no nudge. One that was carried out
// would show as a change of the primary's status.
func (w *world) nudgesIgnored(primary *subject) bool {
	v := w.localView(primary.n.ID)
	return v != nil && w.mem.Nudges >= maxIgnoredNudges && v.LastChange.Before(w.mem.PoolBlindSince)
}
