package topology

import (
	"time"

	"github.com/repool/repool/internal/codes"
)

// Source says when a fact was taken and what went wrong in taking it. A fact
// with an error or without a time is unknown: never read it as "fine".
type Source struct {
	// At is when the answer came. Zero means it was never asked for.
	At time.Time `json:"at"`
	// Err is what the source answered instead of a fact; empty when it answered.
	Err string `json:"err,omitempty"`
}

// OK says whether the fact was obtained.
func (s Source) OK() bool { return s.Err == "" && !s.At.IsZero() }

// Fresh says whether the fact was obtained no longer than maxAge before now.
func (s Source) Fresh(now time.Time, maxAge time.Duration) bool {
	return s.OK() && now.Sub(s.At) <= maxAge
}

// Snapshot is one observed state of a pool at one instant: all that the
// planner ever sees. Nodes are in the order of their ids, without gaps in the
// slice (an unused backend slot is simply absent).
type Snapshot struct {
	Taken time.Time  `json:"taken"`
	Pools []PoolView `json:"pools"`
	Nodes []Node     `json:"nodes"`
	// Promoted is the last primary on the record of the failover hook, which
	// may be ahead of the planner's memory.
	Promoted Promotion `json:"promoted,omitzero"`
	// FailoverTrouble is why the local Pgpool-II cannot run its failover_command;
	// empty: it can, or that is not known.
	FailoverTrouble string `json:"failover_trouble,omitempty"`
	// FailoverRefused is why the failover hook has promoted nothing yet, although the
	// primary is lost; the zero value: it is not waiting.
	FailoverRefused FailoverRefusal `json:"failover_refused,omitzero"`
}

// FailoverRefusal is how the last attempt at an unfinished failover ended.
type FailoverRefusal struct {
	Code codes.Code `json:"code"`
	// Text says it in one line for a person, with the command that promotes anyway.
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Promotion is a node that was proven to be the primary, with its line. The
// zero value: none is on record.
type Promotion struct {
	Node     NodeID   `json:"node"`
	SystemID SystemID `json:"system_id"`
	History  History  `json:"history"`
	// Position is how far its WAL was last seen to go; zero: that is not kept.
	Position LSN `json:"position,omitzero"`
	// Synchronous is what its synchronous replication promises; nil: not known.
	Synchronous *Synchronous `json:"synchronous,omitempty"`
}

// Equal compares all fields.
func (p Promotion) Equal(o Promotion) bool {
	return p.Node == o.Node && p.SystemID == o.SystemID && p.History.Equal(o.History) && p.Position == o.Position &&
		p.Synchronous.Equal(o.Synchronous)
}

// Node returns the node with that id, or nil.
func (s *Snapshot) Node(id NodeID) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].ID == id {
			return &s.Nodes[i]
		}
	}
	return nil
}

// PoolView is what one Pgpool-II answered over PCP.
type PoolView struct {
	Source
	// Endpoint names the Pgpool-II, as "host:port" or the socket path.
	Endpoint string `json:"endpoint"`
	// Watchdog is the zero value when Pgpool-II runs without one.
	Watchdog Watchdog `json:"watchdog"`
	// Primary is the node that this Pgpool-II considers the primary, or NoNode.
	Primary NodeID `json:"primary"`
	// Nodes is Pgpool-II's opinion of each backend slot, by node id.
	Nodes []PoolNode `json:"nodes"`
	// Silent: instead of an error there was no answer in time. A Pgpool-II that is
	// down refuses the connection.
	Silent bool `json:"silent,omitempty"`
	// Waiting says what this Pgpool-II waits for before it answers anybody over PCP
	// again. The view is then the one from before. Empty: it answered.
	Waiting string `json:"waiting,omitempty"`
	// Detail is queried seldom, and may be older than the rest.
	Detail PoolDetail `json:"detail,omitzero"`
}

// Node returns the view on one node, or nil.
func (p *PoolView) Node(id NodeID) *PoolNode {
	for i := range p.Nodes {
		if p.Nodes[i].ID == id {
			return &p.Nodes[i]
		}
	}
	return nil
}

// Watchdog is the answering Pgpool-II's own place in its watchdog cluster.
type Watchdog struct {
	Enabled bool `json:"enabled"`
	// Leader says that the answering member is the leader.
	Leader bool `json:"leader"`
	// Quorum is Pgpool-II's number: 1 yes, 0 yes but lost with one more member,
	// -1 no, -2 unknown.
	Quorum int `json:"quorum"`
	// State is Pgpool-II's word for the member's state, such as "LEADER".
	State string `json:"state,omitempty"`
	// Remote counts the other members, Alive those of them that are alive, Required
	// how many the quorum needs, as Pgpool-II counts them.
	Remote   int `json:"remote,omitempty"`
	Alive    int `json:"alive,omitempty"`
	Required int `json:"required,omitempty"`
	// Escalated: the answering member has the virtual IP address.
	Escalated bool `json:"escalated,omitempty"`
}

// MayAct says whether a controller beside this Pgpool-II may change anything:
// there is no watchdog, or this member leads with quorum. A quorum of 0 counts:
// Pgpool-II fails over with it, and a watchdog of three has no other once one member
// is lost.
func (w Watchdog) MayAct() bool { return !w.Enabled || (w.Leader && w.Quorum >= 0) }

// PoolStatus is Pgpool-II's status of a backend slot.
type PoolStatus string

// The statuses Pgpool-II knows. Waiting is healthy: attached, but no session
// has used it yet.
const (
	PoolUnused  PoolStatus = "unused"
	PoolWaiting PoolStatus = "waiting"
	PoolUp      PoolStatus = "up"
	PoolDown    PoolStatus = "down"
)

// PoolNode is Pgpool-II's opinion of one node.
type PoolNode struct {
	ID         NodeID     `json:"id"`
	Status     PoolStatus `json:"status"`
	Quarantine bool       `json:"quarantine,omitempty"`
	// Role is Pgpool-II's word: "primary" or "standby". At most one is primary.
	Role string `json:"role"`
	// LastChange is when Pgpool-II last set the status (also set again when a
	// node that was down is marked down once more).
	LastChange time.Time `json:"last_change"`
	// Checks are of Pgpool-II's own health check of the node.
	Checks HealthChecks `json:"health_checks,omitzero"`
}

// Attached says whether Pgpool-II routes to the node.
func (n PoolNode) Attached() bool {
	return (n.Status == PoolUp || n.Status == PoolWaiting) && !n.Quarantine
}

// Node is one observed node: everything known of it at the snapshot's instant.
type Node struct {
	ID      NodeID `json:"id"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
	AppName string `json:"app_name,omitempty"`
	// AlwaysPrimary and NoFailover are backend_flagN's ALWAYS_PRIMARY and
	// DISALLOW_TO_FAILOVER.
	AlwaysPrimary bool `json:"always_primary,omitempty"`
	NoFailover    bool `json:"no_failover,omitempty"`

	SQL     SQLFacts   `json:"sql"`
	Agent   Inspection `json:"agent"`
	Lineage Lineage    `json:"lineage"`
}

// SQLFacts is what PostgreSQL itself reported over a connection.
type SQLFacts struct {
	Source
	// Refused says that the server certainly does not accept connections now
	// (connection refused, starting up, shutting down); otherwise it is silent.
	Refused    bool       `json:"refused,omitempty"`
	InRecovery bool       `json:"in_recovery"`
	SystemID   SystemID   `json:"system_id"`
	Version    int        `json:"version"` // server_version_num
	Timeline   TimelineID `json:"timeline"`
	// Current is pg_current_wal_lsn (primary only); Receive and Replay are the
	// standby's positions. Zero means "none".
	Current LSN `json:"current"`
	Receive LSN `json:"receive"`
	Replay  LSN `json:"replay"`
	// ReplayPaused and ReplayLagSeconds are from the standby itself; the lag
	// in time grows on an idle primary and is for people only.
	ReplayPaused     bool    `json:"replay_paused,omitempty"`
	ReplayLagSeconds float64 `json:"replay_lag_seconds,omitempty"`

	// Startup is what the startup process of a standby does: the wait event that
	// PostgreSQL names, or "running" where it waits for nothing. Empty: unknown.
	Startup string `json:"startup,omitempty"`

	Receiver WALReceiver `json:"receiver"`
	Senders  []WALSender `json:"senders,omitempty"`
	Slots    []Slot      `json:"slots,omitempty"`
	// SyncNames is synchronous_standby_names; empty: no commit waits for a standby.
	SyncNames string            `json:"sync_names,omitempty"`
	Settings  map[string]string `json:"settings,omitempty"`
	// DatabaseBytes is the sum of pg_database_size, as last read. Zero: unknown.
	DatabaseBytes uint64 `json:"database_bytes,omitempty"`
}

// Replaying says that the server has WAL to replay: its startup process is at
// work, or waits for something else than WAL. Such a standby asks for no stream
// before it is through, however long that takes.
func (f *SQLFacts) Replaying() bool {
	switch f.Startup {
	case "", "RecoveryWalStream", "RecoveryRetrieveRetryInterval", "RecoveryWalAll":
		return false
	}
	return f.InRecovery
}

// WALReceiver is the row of pg_stat_wal_receiver; Status is empty where there
// is no WAL receiver.
type WALReceiver struct {
	Status     string     `json:"status,omitempty"`
	SenderHost string     `json:"sender_host,omitempty"`
	SenderPort int        `json:"sender_port,omitempty"`
	Timeline   TimelineID `json:"timeline,omitempty"`
	Slot       string     `json:"slot,omitempty"`
	// AppName is the application name under which it connects. Empty: unknown.
	AppName string `json:"app_name,omitempty"`
}

// WALSender is one row of pg_stat_replication.
type WALSender struct {
	PID int `json:"pid,omitempty"`
	// Addr is the client's address; empty: a Unix socket.
	Addr      string `json:"addr,omitempty"`
	AppName   string `json:"app_name"`
	State     string `json:"state"`
	SyncState string `json:"sync_state,omitempty"`
	Slot      string `json:"slot,omitempty"` // empty: it uses none
	Flush     LSN    `json:"flush"`
	Replay    LSN    `json:"replay"`
}
