package exit

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The exit statuses.
const (
	// OK: done, or there was nothing to do.
	OK = 0
	// Internal: a bug in repool, or an error without a status of its own.
	Internal = 1
	// Usage: wrong arguments, or a wrong configuration file.
	Usage = 2
	// Refused: it would not have been safe; a decision code says why.
	Refused = 3
	// Unreachable: Pgpool-II, PostgreSQL, an agent or the controller did not answer.
	Unreachable = 4
	// Unfinished: not done before the deadline; it may still be in progress.
	Unfinished = 5
	// Problems: a check ran to its end and found problems.
	Problems = 6
	// Parked: the node is parked or on hold and was left alone.
	Parked = 7
	// Interrupted: ended by SIGINT or SIGTERM.
	Interrupted = 130
)

// Error is an error with the status that the program exits with.
type Error struct {
	// Code is one of the exit statuses.
	Code int
	// Err says what went wrong; never nil.
	Err error
	// Hint says what a person can do about it; empty: nothing more to say.
	Hint string
}

// Error is the text of Err; the hint is printed on a line of its own by main.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// With gives err the status code and an optional hint. It returns nil for nil, so
// that a call's result can be passed to it.
func With(code int, err error, hint ...string) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err, Hint: strings.Join(hint, " ")}
}

// New makes an error of code from a format, as fmt.Errorf does.
func New(code int, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Coder is an error of another package that knows its own status.
type Coder interface{ ExitCode() int }

// Code is the status for err: 0 for nil; the outermost Error's, or Coder's,
// where there is one; 130 and 5 for a context that was cancelled or ran out;
// else 1.
func Code(err error) int {
	var e *Error
	var c Coder
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &c):
		return c.ExitCode()
	case errors.Is(err, context.DeadlineExceeded):
		return Unfinished
	case errors.Is(err, context.Canceled):
		return Interrupted
	}
	return Internal
}

// Hint is the outermost hint in err, or empty.
func Hint(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
