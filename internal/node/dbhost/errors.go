package dbhost

import (
	"errors"
	"fmt"
	"strings"
)

// The failure codes this package gives, as a run's state shows them.
const (
	CodeServerRunning = "server-running"
	CodeStopFailed    = "stop-failed"
	CodeStartFailed   = "start-failed"
	CodeVaultFailed   = "vault-failed"
	CodeSettleFailed  = "settle-failed"
	CodeRewindFailed  = "rewind-failed"
	CodeRewindRefused = "rewind-refused"
	CodeUpstreamLost  = "upstream-lost"
	CodeSlotFailed    = "slot-failed"
	CodeCopyFailed    = "copy-failed"
	CodeVerifyFailed  = "verify-failed"
	CodeCustomFailed  = "custom-failed"
	CodeNoSpace       = "no-space"
	CodeMountPoint    = "datadir-mountpoint"
	CodeConfigMissing = "config-missing"
	CodeTablespaces   = "tablespaces"
	CodeInternal      = "internal"
)

// Error is a failure with what a person and the planner need besides the
// sentence.
type Error struct {
	Code string
	Hint string // what to do about it; may be empty
	Err  error
	// untouched: nothing had been changed when it failed, provably.
	untouched bool
}

// Error is the sentence alone; code and hint are shown elsewhere.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// FailureCode and FailureHint let callers read the failure through an
// interface, without importing this package.
func (e *Error) FailureCode() string { return e.Code }

// Untouched says that the failure provably came before any change.
func (e *Error) Untouched() bool { return e.untouched }

// FailureHint is what a person can do, or empty.
func (e *Error) FailureHint() string { return e.Hint }

// fail makes an Error; format takes %w.
func fail(code, hint, format string, args ...any) error {
	return &Error{Code: code, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// coded gives err a code and a hint unless it has a code already.
func coded(code, hint string, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Code: code, Hint: hint, Err: err}
}

// withLog adds the last lines of a program's output or of the server's log.
func withLog(msg string, tail string) string {
	if tail = strings.TrimSpace(tail); tail == "" {
		return msg
	}
	return msg + "; last lines:\n" + tail
}
