package plan

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Confirm is P2's second key, turned right before a run overwrites anything:
// snap is a fresh observation, run the run that waits, req what it was started
// with (nil when an earlier controller started it). A nil error means that the
// primary is still the one the run was started for, unambiguous, and agreed on
// by Pgpool-II, and that the node is neither it nor attached nor on hold.
func Confirm(mem Memory, snap topology.Snapshot, pol Policy, now time.Time, run topology.RunState,
	req *topology.RunRequest) error {
	w := newWorld(mem, snap, pol, now)
	w.resolvePrimary()
	s := w.node(run.Node)
	switch {
	case w.local == nil:
		return fmt.Errorf("confirm run %s: the local Pgpool-II does not answer", run.ID)
	case !w.local.Watchdog.MayAct():
		return fmt.Errorf("confirm run %s: the local Pgpool-II is not the watchdog leader with quorum", run.ID)
	case w.primary == nil:
		return fmt.Errorf("confirm run %s: %s: %s", run.ID, w.trouble.code, w.trouble.reason)
	case w.primary.n.ID != run.Upstream:
		return fmt.Errorf("confirm run %s: the primary is node %s now, not node %s", run.ID, w.primary.n.ID, run.Upstream)
	case w.pool != agrees:
		return fmt.Errorf("confirm run %s: Pgpool-II does not recognise node %s as the primary", run.ID, run.Upstream)
	case s == nil || s == w.primary:
		return fmt.Errorf("confirm run %s: node %s is the primary or not in the pool", run.ID, run.Node)
	case s.attached:
		return fmt.Errorf("confirm run %s: node %s is attached", run.ID, run.Node)
	case s.hold() != nil:
		return fmt.Errorf("confirm run %s: node %s is on hold", run.ID, run.Node)
	case s.foreign:
		return fmt.Errorf("confirm run %s: node %s has a different system identifier from the primary", run.ID, run.Node)
	case s.stranger:
		return fmt.Errorf("confirm run %s: the server of node %s and the data directory of its agent belong to different "+
			"clusters", run.ID, run.Node)
	case s.sql && !s.n.SQL.InRecovery:
		return fmt.Errorf("confirm run %s: node %s accepts writes", run.ID, run.Node)
	}
	want, id := mem.History, mem.SystemID
	if req != nil {
		want, id = req.Upstream.History, req.Upstream.SystemID
	}
	if !w.history.Equal(want) {
		return fmt.Errorf("confirm run %s: the primary's history is %s now, and was %s", run.ID, w.history.Text(),
			want.Text())
	}
	if id != 0 && id != w.primary.n.SQL.SystemID {
		return fmt.Errorf("confirm run %s: the primary's system identifier is %s now, and was %s", run.ID,
			w.primary.n.SQL.SystemID, id)
	}
	return nil
}
