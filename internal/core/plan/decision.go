package plan

import (
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// Action is what the controller should do about a node now.
type Action string

// The actions. Resync covers every method from start to base backup; which
// one is in Decision.Method.
const (
	// None: nothing to do, or refused; the Code says which.
	None Action = "none"
	// Wait: something is under way or too fresh to judge; look again soon.
	Wait Action = "wait"
	// Attach: proven by P1; ask every Pgpool-II that has it detached.
	Attach Action = "attach"
	// Detach: attached though it violates P1.
	Detach Action = "detach"
	// Fence: a second primary; stop its server.
	Fence Action = "fence"
	// Resync: run Decision.Method on the node's agent.
	Resync Action = "resync"
	// Cancel: the run in progress follows a node that is no longer the primary; end
	// it at its next safe point.
	Cancel Action = "cancel"
	// DropSlots: a standby that is well has slots that nobody needs; drop
	// Decision.Slots there.
	DropSlots Action = "drop-slots"
	// Nudge: Pgpool-II does not see the primary; detach and attach it again.
	Nudge Action = "nudge"
)

// Rejection says why a cheaper method was not chosen.
type Rejection struct {
	Method topology.Method `json:"method"`
	Why    string          `json:"why"`
}

// Estimate is what a method would cost. Zero Bytes: nothing is copied.
type Estimate struct {
	Bytes   uint64  `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Basis   string  `json:"basis,omitempty"` // what the figure rests on
}

// Decision is the planner's answer for one node.
type Decision struct {
	Node     topology.NodeID `json:"node"`
	Action   Action          `json:"action"`
	Method   topology.Method `json:"method,omitempty"`
	Code     codes.Code      `json:"code"`
	Severity codes.Severity  `json:"severity"`
	Reason   string          `json:"reason"`
	Evidence []string        `json:"evidence,omitempty"`
	Hint     string          `json:"hint,omitempty"` // what a person can do
	// Warning is the code of what would keep repool from repairing the node, though
	// it is well now. Empty: nothing, or the node is not well.
	Warning  codes.Code      `json:"warning,omitempty"`
	Rejected []Rejection     `json:"rejected,omitempty"`
	Estimate Estimate        `json:"estimate"`
	Upstream topology.NodeID `json:"upstream"` // NoNode when there is none
	// Slots are the replication slots on the node to drop; only with DropSlots.
	Slots []string `json:"slots,omitempty"`
	// Request is complete but for ID and Token; nil unless Action is Resync.
	Request *topology.RunRequest `json:"-"`
}

// Mode is what policy allows for one method.
type Mode string

// Auto acts without asking; Ask waits for `repool resync NODE`; Never refuses.
const (
	Auto  Mode = "auto"
	Ask   Mode = "ask"
	Never Mode = "never"
)

// Policy is what the operator allows, from repool.yaml; see DefaultPolicy.
type Policy struct {
	// Methods gives each method's Mode; a missing one is Auto.
	Methods map[topology.Method]Mode
	// MaxLagBytes is P1's gate at attach: the primary's position less the node's
	// replayed one. An attached node is not judged by it (Pgpool-II's
	// delay_threshold is for that): under load it would flap.
	MaxLagBytes uint64
	// MaxFactAge: older facts are unknown.
	MaxFactAge time.Duration
	// FollowGrace is how long an attached standby on the primary's line may be
	// without a stream before it is detached.
	FollowGrace time.Duration
	// StableFor is how long a node must keep passing P1 before it counts as healed.
	StableFor time.Duration
	// StreamPatience is how long a started standby may make no progress before the
	// next method is considered.
	StreamPatience time.Duration
	// MaxAttempts before a node is parked; BackoffBase doubles per failure, with
	// jitter drawn from the node and attempt number, up to BackoffMax.
	MaxAttempts             int
	BackoffBase, BackoffMax time.Duration
	// NudgeAfter is how long Pgpool-II may miss the primary before it is nudged.
	NudgeAfter time.Duration
	// SpaceHeadroom is what must stay free beside a copy.
	SpaceHeadroom uint64
	// Fence: whether a second primary may be stopped without asking.
	Fence Mode
	// Custom: resync_command is set to the operator's own command.
	Custom bool
	// BytesPerSecond is the copying speed that estimates use.
	BytesPerSecond uint64
}

// Hold is an operator's "do not touch". With NoNode it is on the whole pool.
type Hold struct {
	Node  topology.NodeID `json:"node"`
	Who   string          `json:"who"`
	Why   string          `json:"why"`
	Since time.Time       `json:"since"`
	Until time.Time       `json:"until"` // zero: until released
	// Kept: it is on the node's own disk, or for the whole pool on those of the nodes,
	// where every controller finds it.
	Kept bool `json:"kept,omitempty"`
}

// Covers says whether the hold applies to that node at that time.
func (h Hold) Covers(node topology.NodeID, now time.Time) bool {
	return (h.Node == node || h.Node == topology.NoNode) && (h.Until.IsZero() || now.Before(h.Until))
}

// NodeMemory is what is remembered of a node from one pass to the next.
type NodeMemory struct {
	Node topology.NodeID `json:"node"`
	// Attempts counts failed runs since the node was last healthy; LastMethod and
	// LastCode are of the newest of them, LastFailure is when its end was first seen.
	Attempts    int             `json:"attempts"`
	LastFailure time.Time       `json:"last_failure"`
	LastMethod  topology.Method `json:"last_method"`
	LastCode    codes.Code      `json:"last_code"`
	LastError   string          `json:"last_error"`
	// ConfigFailures counts the runs that ended because the node's server refused to
	// start for a reason of its own; FailedConfig is Inspection.ConfigID at the last.
	ConfigFailures int    `json:"config_failures,omitempty"`
	FailedConfig   string `json:"failed_config,omitempty"`
	// SlotHeldSince is since when another session has used the node's slot; zero: none does.
	SlotHeldSince time.Time `json:"slot_held_since,omitzero"`
	// SeenRun is the newest ended run already counted in Attempts.
	SeenRun string `json:"seen_run"`
	// Parked is the code under which repool has given up; empty: not parked.
	Parked    codes.Code `json:"parked,omitempty"`
	ParkedWhy string     `json:"parked_why,omitempty"`
	ParkedAt  time.Time  `json:"parked_at"`
	// Target is the primary's position read when verification began (P1), on
	// TargetTLI of TargetPrimary; zero: not verifying.
	Target        topology.LSN        `json:"target"`
	TargetTLI     topology.TimelineID `json:"target_tli"`
	TargetPrimary topology.NodeID     `json:"target_primary"`
	// NotStreamingSince is when an up standby was first seen without the right stream.
	NotStreamingSince time.Time `json:"not_streaming_since"`
	// PaceMark is where the primary was, and PaceLSN to where the node had received, in
	// the pass before, while it streams from an unknown sender; zero: it does not.
	PaceMark topology.LSN `json:"pace_mark,omitempty"`
	PaceLSN  topology.LSN `json:"pace_lsn,omitempty"`
	// StreamBreaks counts how often since BrokeFirst the node's stream has begun
	// and ended again while its replay stood at StreamLSN, short of the primary.
	StreamBreaks int          `json:"stream_breaks,omitempty"`
	StreamLSN    topology.LSN `json:"stream_lsn,omitempty"`
	BrokeFirst   time.Time    `json:"broke_first,omitzero"`
	// ProgressAt and ProgressLSN: when and to where replay last moved.
	ProgressAt  time.Time    `json:"progress_at"`
	ProgressLSN topology.LSN `json:"progress_lsn"`
	// AheadLSN is where a streaming node was when it was seen past the primary's
	// position, on AheadTLI at AheadAt; zero: it is not. See subject.ahead.
	AheadLSN topology.LSN        `json:"ahead_lsn,omitempty"`
	AheadTLI topology.TimelineID `json:"ahead_tli,omitempty"`
	AheadAt  time.Time           `json:"ahead_at"`
	// Fork is what was proven of the node's data while its WAL could still tell.
	Fork Fork `json:"fork,omitzero"`
	// Compared is up to where its WAL was last proven to be the primary's.
	Compared Compared `json:"compared,omitzero"`
	// HealthySince is since when the node has passed P1 while attached.
	HealthySince time.Time `json:"healthy_since"`
	// Asked is set by `repool resync NODE`: the operator agrees to this method
	// (or to any, when it is "any").
	Asked string `json:"asked,omitempty"`
	// LastAttach is when an attach was last requested (rate limit), Attaches how
	// many were since the node was last healthy.
	LastAttach time.Time `json:"last_attach"`
	Attaches   int       `json:"attaches"`
	// IgnoredRequests are the attaches and detaches since Pgpool-II last carried
	// anything out. IgnoredChecks is since when its own failed health checks of the
	// node, which it routes to, have led to no failover.
	IgnoredRequests Ignored `json:"ignored_requests,omitzero"`
	IgnoredChecks   Ignored `json:"ignored_checks,omitzero"`
	// LastDetach, LastFence and LastResync are when these were last carried out
	// (rate limits); Fences counts since the node was last healthy.
	LastDetach time.Time `json:"last_detach"`
	LastFence  time.Time `json:"last_fence"`
	Fences     int       `json:"fences"`
	LastResync time.Time `json:"last_resync"`
	// LastDropSlots is when slots were last requested to be dropped (rate limit).
	LastDropSlots time.Time `json:"last_drop_slots,omitzero"`
	// Told is the number of the newest instruction on the node that was heard of, ToldAt
	// when.
	Told   uint64    `json:"told,omitzero"`
	ToldAt time.Time `json:"told_at,omitzero"`
}

// Memory is all that the planner remembers. The zero value is a good start. Outside
// this package it is read only: Step, Advance, AddHold, EndHold, Release and Consent
// return a changed one.
type Memory struct {
	Nodes []NodeMemory `json:"nodes"` // sorted by node
	Holds []Hold       `json:"holds,omitempty"`
	// Pool is the newest instruction for the whole pool; the zero value: none was given.
	Pool topology.Instruction `json:"pool,omitzero"`
	// Primary is the last unambiguous primary that Pgpool-II agreed on, with its
	// history and system identifier. Meaningless while History is unknown, so
	// that the zero value does not name node 0.
	Primary  topology.NodeID   `json:"primary"`
	History  topology.History  `json:"history"`
	SystemID topology.SystemID `json:"system_id"`
	// Contest is what is known of two primaries, while there are.
	Contest Contest `json:"contest,omitzero"`
	// PoolBlindSince is since when a Pgpool-II has missed the primary.
	PoolBlindSince time.Time `json:"pool_blind_since"`
	LastNudge      time.Time `json:"last_nudge"`
	Nudges         int       `json:"nudges"`
}
