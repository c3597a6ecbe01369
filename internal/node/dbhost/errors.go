package dbhost

import (
	"errors"
	"fmt"
	"strings"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/node/resync"
)

// fail makes an error with a code. hint is what a person can do in this case; empty: what the code says. format takes
// %w.
func fail(code codes.Code, hint, format string, args ...any) error {
	return &resync.Error{Code: code, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// coded gives err a code and a hint unless it has a code already.
func coded(code codes.Code, hint string, err error) error {
	var e *resync.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &resync.Error{Code: code, Hint: hint, Err: err}
}

// withLog adds the last lines of a program's output or of the server's log.
func withLog(msg string, tail string) string {
	if tail = strings.TrimSpace(tail); tail == "" {
		return msg
	}
	return msg + "; last lines:\n" + tail
}
