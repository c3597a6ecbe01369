package resync

import (
	"errors"
	"fmt"
)

// The codes a run can fail with (RunState.Code). They are documented in the
// runbook and never change their meaning.
const (
	CodeSlotFailed       = "slot-failed"
	CodeUpstreamChanged  = "upstream-changed"
	CodeUpstreamLost     = "upstream-lost"
	CodeCheckpointFailed = "checkpoint-failed"
	CodeNoClearance      = "no-clearance"
	CodeServerRunning    = "server-running"
	CodeServerStopped    = "server-stopped"
	CodeStopFailed       = "stop-failed"
	CodeStartFailed      = "start-failed"
	CodeNotStreaming     = "not-streaming"
	CodeVaultFailed      = "vault-failed"
	CodeSettleFailed     = "settle-failed"
	CodeRewindFailed     = "rewind-failed"
	CodeRewindRefused    = "rewind-refused"
	CodeCopyFailed       = "copy-failed"
	CodeVerifyFailed     = "verify-failed"
	CodeCustomFailed     = "custom-failed"
	CodeNoSpace          = "no-space"
	CodeMountPoint       = "datadir-mountpoint"
	CodeConfigMissing    = "config-missing"
	CodeSettingsFailed   = "settings-failed"
	CodeNotOnLine        = "not-on-line"
	CodeNoData           = "no-data"
	CodeDamaged          = "damaged"
	CodeHomeOccupied     = "home-occupied"
	CodeCancelled        = "cancelled"
	CodeInterrupted      = "interrupted"
	CodeInternal         = "internal"
)

// hints says, for each code, what a person can do when nobody knew better.
var hints = map[string]string{
	CodeSlotFailed:       "check that the database role may create replication slots on the primary and that max_replication_slots is not used up",
	CodeUpstreamChanged:  "the primary changed during the run; the next pass plans anew against the new one",
	CodeUpstreamLost:     "check that the node reaches the primary; the next pass tries again",
	CodeCheckpointFailed: "grant the database role pg_checkpoint (PostgreSQL 15 and later), or wait for the primary's own checkpoint",
	CodeNoClearance:      "the controller did not confirm in time; see its log for why it refused",
	CodeServerRunning:    "something started the server in the middle of the run; keep the service manager from restarting it",
	CodeServerStopped:    "the server stopped meanwhile; the next pass plans anew",
	CodeStopFailed:       "stop the server by hand; a process that cannot be killed hangs in the kernel",
	CodeStartFailed:      "read the server's log; the error holds its last lines",
	CodeNotStreaming:     "read the server's log on both nodes; check pg_hba.conf, the password file and wal retention on the primary",
	CodeVaultFailed:      "make room for the vault, or give it another directory; nothing is overwritten before it is filled",
	CodeSettleFailed:     "the crashed directory does not recover; a base backup replaces it",
	CodeRewindFailed:     "a base backup replaces the half-rewound directory; it must never be started",
	CodeRewindRefused:    "use a base backup for this node",
	CodeCopyFailed:       "check the replication connection to the primary and the space on the node",
	CodeVerifyFailed:     "the copy does not match its manifest; check disk and memory of both hosts",
	CodeCustomFailed:     "read what resync_command printed; the directory is as it left it",
	CodeNoSpace:          "make room on the data directory's file system: a copy needs the primary's size beside the old directory",
	CodeMountPoint:       "put the data directory one level below its mount point, so that it can be renamed",
	CodeConfigMissing:    "put the node's own configuration files in place; no copy of them was kept",
	CodeSettingsFailed:   "check owner and permissions of the data directory and its configuration files",
	CodeNotOnLine:        "the node holds WAL of its own; the next pass plans a rewind",
	CodeNoData:           "only a base backup can make this node",
	CodeDamaged:          "the directory aside is half done; only a base backup may follow",
	CodeHomeOccupied:     "two directories claim to be the node's data; move the wrong one away (home, or aside in the workshop)",
	CodeInternal:         "see the agent's log",
}

// Error is a failure with its code. A Host or UpstreamLink returns one to
// choose the code itself; without, the step's own code is used.
type Error struct {
	// Code is one of this package's; empty: the step's.
	Code string
	// Hint is what a person can do; empty: the code's usual one.
	Hint string
	// Untouched is the Host's proof that a rewind that failed has changed
	// nothing yet, so that the directory is still whole.
	Untouched bool
	Err       error
}

// Error gives the cause's text.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of that code.
func Errorf(code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// coded is a Host's own error type that brings its code, as Error does.
type coded interface {
	error
	FailureCode() string
	FailureHint() string
}

// StepError is the failure of one step of a run, complete with code and hint.
type StepError struct {
	Step, Code, Hint string
	Untouched        bool
	Err              error
}

// Error says which step failed and why.
func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// asStepError completes err with what the step knows.
func asStepError(s *Step, err error) *StepError {
	var se *StepError
	if errors.As(err, &se) {
		return se
	}
	out := &StepError{Step: s.Name, Code: s.Code, Err: err}
	var e *Error
	if errors.As(err, &e) {
		out.Hint, out.Untouched = e.Hint, e.Untouched
		if e.Code != "" {
			out.Code = e.Code
		}
	}
	var u interface{ Untouched() bool }
	if errors.As(err, &u) {
		out.Untouched = out.Untouched || u.Untouched()
	}
	var f coded
	if e == nil && errors.As(err, &f) {
		out.Hint = f.FailureHint()
		if c := f.FailureCode(); c != "" {
			out.Code = c
		}
	}
	if out.Code == "" {
		out.Code = CodeInternal
	}
	if out.Hint == "" {
		out.Hint = hints[out.Code]
	}
	return out
}
