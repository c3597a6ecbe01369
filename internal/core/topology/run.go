package topology

import (
	"time"

	"github.com/repool/repool/internal/codes"
)

// Method is a way to bring a node level with the primary, cheapest first in
// the order of Methods.
type Method string

// The methods. MethodCustom is the operator's own resync_command.
const (
	MethodAttach     Method = "attach"
	MethodStart      Method = "start"
	MethodFollow     Method = "follow"
	MethodAdopt      Method = "adopt"
	MethodRewind     Method = "rewind"
	MethodDeltaCopy  Method = "delta-copy"
	MethodBaseBackup Method = "base-backup"
	MethodCustom     Method = "custom"
)

// Methods lists the built-in methods, cheapest first.
var Methods = []Method{MethodAttach, MethodStart, MethodFollow, MethodAdopt, MethodRewind, MethodDeltaCopy,
	MethodBaseBackup}

// Destructive says whether the method overwrites data of the node, and so
// needs the vault and a fresh confirmation first (P2, P3).
func (m Method) Destructive() bool {
	switch m {
	case MethodRewind, MethodDeltaCopy, MethodBaseBackup, MethodCustom:
		return true
	}
	return false
}

// Upstream is the primary that a run brings its node level with, with all that
// must still be true of it right before anything is overwritten.
type Upstream struct {
	Node     NodeID   `json:"node"`
	Host     string   `json:"host"` // backend_hostnameN verbatim
	Port     int      `json:"port"`
	SystemID SystemID `json:"system_id"`
	History  History  `json:"history"`
}

// Token is the right to change one node, issued by the node's agent. A higher
// token invalidates every lower one (P6).
type Token uint64

// RunRequest asks an agent to resync its node. It names no path, command or
// option: those come from the agent's own configuration.
type RunRequest struct {
	// ID names the run for good; the caller chooses it, and two requests with one
	// id are one run.
	ID       string   `json:"id"`
	Node     NodeID   `json:"node"`
	Method   Method   `json:"method"`
	Upstream Upstream `json:"upstream"`
	// Slot is the replication slot on the upstream; AppName the standby's
	// application_name (backend_application_nameN, or the slot's name).
	Slot    string `json:"slot"`
	AppName string `json:"app_name"`
	// Divergence is the planner's divergence point, for the vault; zero if none.
	Divergence    LSN        `json:"divergence"`
	DivergenceTLI TimelineID `json:"divergence_tli"`
	// ProvenTo is up to where the node's WAL is proven, by content, to be the upstream's;
	// zero: nothing was compared. Past it nothing is taken for the upstream's, whatever
	// the timelines say, and a directory that is replaced is kept. Streaming: the node
	// streamed from the upstream as that was proven, so what it has received since is
	// the upstream's too.
	ProvenTo  LSN  `json:"proven_to,omitempty"`
	Streaming bool `json:"streaming,omitempty"`
	// KeepOld keeps the directory that a base backup replaces, and saves no WAL of it
	// to the vault: that WAL cannot be trusted to belong to its data.
	KeepOld bool       `json:"keep_old,omitempty"`
	Token   Token      `json:"token"`
	Code    codes.Code `json:"code"`   // the decision's code
	Reason  string     `json:"reason"` // and its sentence
}

// Outcome is how a run stands.
type Outcome string

// The outcomes. Interrupted means that the run's process died: the journal says how
// far it got, and the planner decides what follows.
const (
	RunRunning     Outcome = "running"
	RunWaiting     Outcome = "waiting" // for clearance of a destructive step
	RunDone        Outcome = "done"
	RunFailed      Outcome = "failed"
	RunCancelled   Outcome = "cancelled"
	RunInterrupted Outcome = "interrupted"
)

// Ended says whether the run is over: it will not go on by itself.
func (o Outcome) Ended() bool { return o != RunRunning && o != RunWaiting }

// RunState is the journal's view of one run: what status, page and API show.
type RunState struct {
	ID       string     `json:"id"`
	Node     NodeID     `json:"node"`
	Method   Method     `json:"method"`
	Upstream NodeID     `json:"upstream"`
	Outcome  Outcome    `json:"outcome"`
	Code     codes.Code `json:"code,omitempty"` // of the decision, then of the failure
	Error    string     `json:"error,omitempty"`
	Hint     string     `json:"hint,omitempty"` // what a person can do
	Started  time.Time  `json:"started"`
	Updated  time.Time  `json:"updated"`
	Ended    time.Time  `json:"ended"`
	Steps    []StepRun  `json:"steps"`
	// BytesDone and BytesTotal are of the step that moves data; BytesTotal 0: unknown.
	BytesDone  uint64 `json:"bytes_done"`
	BytesTotal uint64 `json:"bytes_total"`
	// Damaged: the directory in repair is half rewound or half copied and must
	// never be started; only a base backup can replace it.
	Damaged bool        `json:"damaged,omitempty"`
	Vault   *VaultEntry `json:"vault,omitempty"`
	Token   Token       `json:"token,omitempty"`
}

// Step returns the step the run is at, or was at when it ended.
func (r RunState) Step() string {
	if len(r.Steps) == 0 {
		return ""
	}
	return r.Steps[len(r.Steps)-1].Name
}

// StepRun is one executed step.
type StepRun struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Note    string    `json:"note,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// VaultEntry describes what was kept of a lost line of WAL.
type VaultEntry struct {
	ID        string         `json:"id"`
	Node      NodeID         `json:"node"`
	Path      string         `json:"path"`
	Made      time.Time      `json:"made"`
	SystemID  SystemID       `json:"system_id"`
	From      LSN            `json:"from"`
	Diverged  LSN            `json:"diverged"`
	TLI       TimelineID     `json:"tli"`
	End       LSN            `json:"end"`
	Bytes     uint64         `json:"bytes"`
	Commits   int            `json:"commits"` // lost: committed past Diverged
	Complete  bool           `json:"complete"`
	Missing   string         `json:"missing,omitempty"` // what is not known, and why
	Relations map[string]int `json:"relations,omitempty"`
}

// Fenced reports what Fence found and did.
type Fenced struct {
	WasRunning bool          `json:"was_running"`
	Mode       string        `json:"mode,omitempty"` // fast, immediate or kill
	Took       time.Duration `json:"took"`           // nanoseconds in JSON
}
