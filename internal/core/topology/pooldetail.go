package topology

import "time"

// HealthChecks counts Pgpool-II's health checks of one node since Pgpool-II
// started. A node that is down is skipped. Times are zero for "never".
type HealthChecks struct {
	Success int `json:"success"`
	Fail    int `json:"fail"`
	Skip    int `json:"skip"`
	// Retries is over all checks, MaxRetries the most of a single one.
	Retries    int `json:"retries"`
	MaxRetries int `json:"max_retries"`
	// Average and Longest are of single checks.
	Average time.Duration `json:"average_ns"`
	Longest time.Duration `json:"longest_ns"`

	Last        time.Time `json:"last,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastFail    time.Time `json:"last_fail,omitzero"`
}

// PoolDetail is what one Pgpool-II says of itself beside the state of its
// nodes. It is for people and metrics only: nothing is decided by it.
type PoolDetail struct {
	Source
	// Processes counts the processes that serve clients, by what they do.
	Processes ProcessCounts `json:"processes"`
	Nodes     []NodeDetail  `json:"nodes,omitempty"`
}

// ProcessCounts counts Pgpool-II's processes. Free ones wait for a client; the
// others have one.
type ProcessCounts struct {
	Free              int `json:"free"`
	Idle              int `json:"idle"`
	IdleInTransaction int `json:"idle_in_transaction"`
	Active            int `json:"active"`
}

// NodeDetail is what Pgpool-II says of one node beside its state.
type NodeDetail struct {
	ID NodeID `json:"id"`
	// Weight is the node's share of the load balanced reads, from 0 to 1.
	Weight float64 `json:"weight"`
	// Delay is Pgpool-II's own measure of the replication lag, in bytes, or in
	// seconds where DelayByTime is set; DelayKnown is false where it has none.
	Delay       float64 `json:"delay"`
	DelayByTime bool    `json:"delay_by_time,omitempty"`
	DelayKnown  bool    `json:"delay_known,omitempty"`
	// Connections counts the pooled connections to the node.
	Connections int `json:"connections"`
}
