package resync

import (
	"errors"
	"fmt"

	"github.com/repool/repool/internal/codes"
)

// Error is a failure with its code. A Host or UpstreamLink returns one to choose the code itself; the engine completes
// it, and makes one of any other error.
type Error struct {
	// Step is the step that failed; empty until the engine knows it.
	Step string
	// Code is why; empty: the step's own.
	Code codes.Code
	// Hint is what a person can do; empty: the code's own remedy.
	Hint string
	// Untouched is the Host's proof that a rewind that failed has changed nothing yet, so that the directory is whole.
	Untouched bool
	Err       error
}

// Error gives the cause, behind the step if that is known.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Err != nil {
		text = e.Err.Error()
	}
	if e.Step != "" {
		return e.Step + ": " + text
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of that code.
func Errorf(code codes.Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// failed completes err with what the step and its code say.
func (s *Step) failed(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e.Step != "" {
		return e
	}
	out := &Error{Step: s.Name, Code: s.Code, Err: err}
	if e != nil {
		out.Hint, out.Untouched = e.Hint, e.Untouched
		if e.Code != "" {
			out.Code = e.Code
		}
	}
	if out.Code == "" {
		out.Code = codes.Internal
	}
	return out
}

// hint is what a person can do about a failure on that node.
func (e *Error) hint(node string) string {
	if e.Hint != "" {
		return e.Hint
	}
	info, _ := codes.Explain(e.Code)
	return info.Hint(node)
}
