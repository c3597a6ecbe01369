package pcp

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// What callers test for with errors.Is.
var (
	// ErrAuth is returned when Pgpool-II refuses the login: user and password do
	// not match a line of pcp.conf, or it has no readable pcp.conf.
	ErrAuth = errors.New("pgpool refused the login")
	// ErrWatchdogOff is returned by the watchdog commands when Pgpool-II runs
	// without a watchdog: a fact about the pool, not a fault.
	ErrWatchdogOff = errors.New("watchdog is not enabled")
	// ErrBusy is returned when Pgpool-II refuses a command because a failover,
	// failback or promotion is at work. Try again later, with back-off.
	ErrBusy = errors.New("pgpool is busy with a failover")
	// ErrProtocol is returned when the peer sends what PCP does not allow. The
	// connection is closed; what was asked for may or may not have been done.
	ErrProtocol = errors.New("pcp protocol violation")
	// ErrNoPassword is returned when no password is known for the user.
	ErrNoPassword = errors.New("no pcp password")
)

// ServerError is an error message of Pgpool-II. Its texts are Pgpool-II's own,
// in the language of its build (English), each cut by Pgpool-II at about 255 bytes.
type ServerError struct {
	// Severity is ERROR, FATAL or PANIC.
	Severity string
	// Code is nearly always XX000 and says nothing.
	Code string
	// Message, Detail and Hint are for people; Detail and Hint may be empty.
	Message, Detail, Hint string
}

// Error gives all that Pgpool-II said.
func (e *ServerError) Error() string {
	var b strings.Builder
	b.WriteString(e.Severity + ": " + e.Message)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Hint != "" {
		b.WriteString(" (hint: " + e.Hint + ")")
	}
	return b.String()
}

// Fatal says whether Pgpool-II closed the connection with this error.
func (e *ServerError) Fatal() bool { return e.Severity != "ERROR" }

// Is matches the sentinels of this package. PCP has no usable error codes, so
// it goes by the texts, which are the same from Pgpool-II 4.3 to 4.7.
func (e *ServerError) Is(target error) bool {
	switch target {
	case ErrAuth:
		return strings.HasPrefix(e.Message, "authentication failed") ||
			strings.HasPrefix(e.Message, "failed to authenticate")
	case ErrBusy:
		return strings.HasPrefix(e.Message, "failed to process PCP request at the moment")
	case ErrWatchdogOff:
		return strings.HasSuffix(e.Message, "informing watchdog info failed") &&
			strings.HasSuffix(e.Detail, "is not enabled")
	}
	return false
}

// parseServerError reads the payload of an E or N message: parts of one letter
// and a text, each ended by a zero byte, and one more zero byte at the end.
func parseServerError(payload []byte) (*ServerError, error) {
	e := new(ServerError)
	for _, part := range strings.Split(string(payload), "\x00") {
		if part == "" {
			continue
		}
		text := printable(part[1:])
		switch part[0] {
		case 'S':
			e.Severity = text
		case 'C':
			e.Code = text
		case 'M':
			e.Message = text
		case 'D':
			e.Detail = text
		case 'H':
			e.Hint = text
		}
	}
	if e.Severity == "" || e.Message == "" {
		return nil, fmt.Errorf("%w: error message without severity or text: %s", ErrProtocol, excerpt(payload))
	}
	return e, nil
}

// printable keeps a text that goes to logs and terminals free of control bytes.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// excerpt shows the beginning of what came, quoted, for an error text.
func excerpt(payload []byte) string {
	const most = 80
	if len(payload) > most {
		return fmt.Sprintf("%q… (%d bytes)", payload[:most], len(payload))
	}
	return fmt.Sprintf("%q", payload)
}
