package control

import (
	"context"
	"errors"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/event"
)

// Status is the controller's published state: one immutable value a pass.
type Status struct {
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Acting is false where the controller only looks; Why says for what reason.
	Acting    bool              `json:"acting"`
	Why       string            `json:"why,omitempty"`
	Pass      uint64            `json:"pass"`
	PassTook  time.Duration     `json:"pass_took_ns"`
	Snapshot  topology.Snapshot `json:"snapshot"`
	Decisions []plan.Decision   `json:"decisions"`
	Memory    plan.Memory       `json:"memory"`
}

// HoldRequest asks for a hold on a node, or on the pool with topology.NoNode.
type HoldRequest struct {
	Node  topology.NodeID `json:"node"`
	Who   string          `json:"who"`
	Why   string          `json:"why"`
	Until time.Time       `json:"until"`
}

// ResyncRequest asks for a resync of a node that policy or parking keeps back.
type ResyncRequest struct {
	Node topology.NodeID `json:"node"`
	// Method limits the consent to one method; empty: any.
	Method topology.Method `json:"method"`
	Who    string          `json:"who"`
}

// NodeRequest asks for something else about one node: its attach or its detach.
type NodeRequest struct {
	Node topology.NodeID `json:"node"`
	Who  string          `json:"who"`
	Why  string          `json:"why,omitempty"`
}

// Controller is what stands behind the socket.
type Controller interface {
	Status() Status
	Look(reason string)
	Hold(ctx context.Context, r HoldRequest) error
	// Release ends the hold and the parking of a node (NoNode: the pool's hold).
	Release(ctx context.Context, node topology.NodeID, who string) error
	Resync(ctx context.Context, r ResyncRequest) error
	// Attach takes back what keeps a node from its attach by a person's will; the
	// planner's gate stays.
	Attach(ctx context.Context, r NodeRequest) error
	// Detach holds a standby and has it detached; never what may be the primary.
	Detach(ctx context.Context, r NodeRequest) error
	// Recover resyncs a node for pcp_recovery_node and returns when it is proven
	// ready to be attached; say is called with progress for a person.
	Recover(ctx context.Context, node topology.NodeID, say func(string)) error
	Checkpoint(ctx context.Context, node topology.NodeID) error
	History(ctx context.Context, f event.Filter) ([]event.Event, error)
}

// ErrNotRunning: nothing listens on the controller's socket.
var ErrNotRunning = errors.New("the controller is not running (no answer on its socket); start it with repool serve")

// RefusedError is the controller's "no", with the code that says why.
type RefusedError struct {
	Code codes.Code `json:"code"`
	Msg  string     `json:"error"`
	Hint string     `json:"hint,omitempty"`
}

func (e *RefusedError) Error() string { return e.Msg }

// ExitCode is the status of a command that was refused.
func (e *RefusedError) ExitCode() int { return exit.Refused }
