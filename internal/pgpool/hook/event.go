package hook

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Kind is which of Pgpool-II's commands was called.
type Kind string

// The kinds of events.
const (
	KindFailover Kind = "failover"
	KindFollow   Kind = "follow-primary"
	KindResync   Kind = "resync"
	KindRecovery Kind = "online-recovery"
)

// Place is a node as Pgpool-II described it. Any field may be zero: Pgpool-II
// leaves out what it does not know, and has no placeholder for some.
type Place struct {
	Host string `json:"host,omitempty"`
	Port int    `json:"port,omitempty"`
	Dir  string `json:"dir,omitempty"`
}

// Event is one call of a hook.
type Event struct {
	// ID names the event's file in the spool; empty: not spooled yet.
	ID   string    `json:"id"`
	Kind Kind      `json:"kind"`
	At   time.Time `json:"at"`
	// Failed is %d: the node that went down, or the one to be resynced.
	Failed topology.NodeID `json:"failed"`
	// NewMain is %m: Pgpool-II's choice of a new primary, its lowest live node
	// (which may be dead, too); for follow-primary the new primary itself.
	NewMain topology.NodeID `json:"new_main"`
	// OldMain is %M. OldPrimary is %P, or NoNode where Pgpool-II knew none.
	OldMain    topology.NodeID `json:"old_main"`
	OldPrimary topology.NodeID `json:"old_primary"`

	FailedAt     Place `json:"failed_at,omitzero"`
	NewMainAt    Place `json:"new_main_at,omitzero"`
	OldPrimaryAt Place `json:"old_primary_at,omitzero"`
}

// PrimaryLost says whether the event leaves the pool without a primary: the
// primary failed, or Pgpool-II knows none. A standby's failure is no reason to
// promote anything.
func (e Event) PrimaryLost() bool {
	return e.Kind == KindFailover && (e.Failed == e.OldPrimary || e.OldPrimary == topology.NoNode)
}

// String is the event in a few words for the log.
func (e Event) String() string {
	return fmt.Sprintf("%s: node %s down, old primary %s, Pgpool-II's choice %s", e.Kind, e.Failed, e.OldPrimary,
		e.NewMain)
}
