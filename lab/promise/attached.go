// Package promise is what repool promises of an attached node (P1), in the form in which it can be judged by looking at
// a pool from outside. The chaos guard on real pools and the simulation judge by the same rule.
//
// repool requests an attach only for a node that it has just proven against the primary of that moment. Pgpool-II
// queues the request, and it cannot be withdrawn. If a failover gets ahead of it, the attach is executed after the
// failover, for a node that was proven against the previous primary. What is promised in that window:
//
//   - The node is a standby, and it shows no row that the new primary does not have: the failover hook stops a detached
//     standby that has diverged (docs/decisions/0012). The exceptions are listed there.
//   - It does not stay attached so. Within Unproven it follows the new primary or is detached.
//
// Who cannot see when an attach was requested takes one that is executed within Overtaken of a promotion for one that
// may have been requested before it. A node that is attached later must follow the primary at the first look.
package promise

import "time"

// Overtaken is how long after a promotion Pgpool-II may execute an attach that was requested before it: the rest of its
// failover command, its search for the new primary, and its queue.
const Overtaken = 15 * time.Second

// Unproven is how long an attached node that answers may do without the primary's stream, whoever attached it and
// whatever befell it: repool detaches at once what it finds wrong, what merely has no stream after follow_grace, and a
// Pgpool-II that does not execute the detach is found out half a minute later.
const Unproven = time.Minute

// Attached judges the nodes of one pool, look by look. The zero value is ready; it is not safe for concurrent use.
type Attached struct {
	// Limit takes the place of Unproven; zero: it does not.
	Limit time.Duration

	primary  int
	promoted time.Time // when this primary was first seen; zero: it was there from the beginning
	known    bool
	nodes    map[int]*spell
}

// spell is a time in which a node was attached and did not follow the primary.
type spell struct {
	since time.Time
	told  bool
}

// Primary notes which node is the primary at a look.
func (a *Attached) Primary(at time.Time, node int) {
	if a.known && node != a.primary {
		a.promoted = at
	}
	a.primary, a.known = node, true
}

// MayFollowLater says of a standby whose attach is executed now whether it may begin to follow the primary afterwards,
// since the request may be older than the promotion.
func (a *Attached) MayFollowLater(at time.Time) bool {
	return !a.promoted.IsZero() && at.Sub(a.promoted) < Overtaken
}

// Fine notes that at a look the node is not attached, does not answer or follows the primary, or that nobody can tell.
func (a *Attached) Fine(node int) { delete(a.nodes, node) }

// Astray notes that at a look the node is attached, answers and does not follow the primary. disturbed is the last
// moment at which something was done to the pool, from which the time counts again. It returns how long this has been
// so once that is too long, and otherwise zero; a spell is reported once.
func (a *Attached) Astray(at time.Time, node int, disturbed time.Time) time.Duration {
	s := a.nodes[node]
	if s == nil || s.since.Before(disturbed) {
		if a.nodes == nil {
			a.nodes = map[int]*spell{}
		}
		s = &spell{since: at, told: s != nil && s.told}
		a.nodes[node] = s
	}
	d, limit := at.Sub(s.since), a.Limit
	if limit == 0 {
		limit = Unproven
	}
	if d <= limit || s.told {
		return 0
	}
	s.told = true
	return d
}
