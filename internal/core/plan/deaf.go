package plan

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Unheeded is what Pgpool-II has been told in vain. Zero: nothing.
type Unheeded struct {
	// Count is how many requests were made of it, or what its count of failed
	// health checks was, at Since.
	Count int       `json:"count"`
	Since time.Time `json:"since"`
	// Mark is Pgpool-II's newest change of any node's status then. Another one
	// later shows that it still carries something out, or was restarted.
	Mark time.Time `json:"mark"`
}

// Pgpool-II 4.3 to 4.5 can be deaf: it answers over PCP, takes every request,
// and carries out none until it is restarted. One that looks for its primary at
// its start, while clients knock and a node is down, takes ten requests of its
// own processes and drops the signal for them ("ignoring the failover request,
// since we are still starting up", pgpool_main.c); the queue is full then,
// takes no other request, and nobody looks at it again. Such a one may route
// rightly for weeks, until a node fails: it makes no failover, either.

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

// noteHeed forgets requests that Pgpool-II has carried out, or may yet: it has
// changed some status since, or was not to be asked.
func (w *world) noteHeed() {
	mark := w.lastChange()
	for _, s := range w.nodes {
		u := &s.m.Unheeded
		if u.Count == 0 || w.local == nil || !u.Mark.Equal(mark) {
			*u = Unheeded{Mark: mark}
		}
		s.noteIgnored(mark)
	}
}

// noteIgnored keeps since when Pgpool-II's own health check of an attached node
// has failed without a failover.
func (s *subject) noteIgnored(mark time.Time) {
	u := &s.m.Ignored
	v := s.w.localView(s.n.ID)
	if v == nil || !v.Attached() || s.n.NoFailover || s.sql || v.Checks.Fail == 0 || !u.Since.IsZero() && (!u.Mark.Equal(mark) || v.Checks.Fail < u.Count) {
		*u = Unheeded{}
		return
	}
	if u.Since.IsZero() {
		*u = Unheeded{Count: v.Checks.Fail, Since: s.w.now, Mark: mark}
	}
}

// asked notes one more request. Mark is of the Step that proposed it.
func (u *Unheeded) asked(now time.Time) {
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

// heldUp says that Pgpool-II may only be waiting for a frozen server: it is not
// deaf then, and goes on when the server has ended or answers.
func (w *world) heldUp() bool {
	for _, s := range w.nodes {
		if s.attached && s.agent && s.n.Agent.Server == topology.ServerFrozen {
			return true
		}
	}
	return false
}

// unheeded says that the attaches or detaches of the node led to nothing, for
// longer than anything that Pgpool-II does between two requests.
func (s *subject) unheeded() bool {
	u := s.m.Unheeded
	return u.Count >= deafAsks && s.w.now.Sub(u.Since) >= deafPatience && !s.w.heldUp()
}

// deafTo is the refusal that follows: more requests would only fill its queue.
func (s *subject) deafTo(what, reason string) Decision {
	u := s.m.Unheeded
	return s.refuse(CodePoolDeaf, fmt.Sprintf("%s; Pgpool-II took %d requests for its %s in %s and carried out none", reason, u.Count, what, s.w.now.Sub(u.Since).Round(roundTo)),
		"no status of any node has changed in Pgpool-II since "+u.Mark.UTC().Format(time.RFC3339))
}

// ignored says that Pgpool-II's own health check finds the node dead, again and
// again, and that no failover comes of it.
func (s *subject) ignored() bool {
	u, v := s.m.Ignored, s.w.localView(s.n.ID)
	return v != nil && !u.Since.IsZero() && v.Checks.Fail-u.Count >= deafChecks && s.w.now.Sub(u.Since) >= deafPatience && !s.w.heldUp()
}

// noFailover is the trouble that follows when the node is the last primary.
func (s *subject) noFailover() trouble {
	u, v := s.m.Ignored, s.w.localView(s.n.ID)
	return trouble{CodePoolDeaf, fmt.Sprintf("node %s, the last primary, does not answer, and Pgpool-II makes no failover: %d of its own health checks have failed in %s, and it still routes to the node",
		s.n.ID, v.Checks.Fail-u.Count, s.w.now.Sub(u.Since).Round(roundTo)), s.common()}
}

// deaf says that Pgpool-II carries out no nudge. Each one that was carried out
// would show as a change of the primary's status.
func (w *world) deaf(primary *subject) bool {
	v := w.localView(primary.n.ID)
	return v != nil && w.mem.Nudges >= deafNudges && v.LastChange.Before(w.mem.PoolBlindSince)
}
