package pcp

import (
	"fmt"
	"strconv"
)

// maxRecords bounds what a reply may announce: far more than the processes times
// the pooled connections of the largest pool.
const maxRecords = 1 << 20

// arrayReply reads the replies that come in several messages: ArraySize with the
// count, records of one kind, CommandComplete.
type arrayReply struct {
	// kind is the word that begins each record, such as NodeInfo.
	kind string
	// upperBound says that fewer records than announced may come.
	upperBound bool
	record     func(fields []string) error

	size, seen int
	sized      bool
}

// take is the function for Conn.do.
func (a *arrayReply) take(payload []byte) (bool, error) {
	f, err := fields(payload)
	if err != nil {
		return false, err
	}
	switch {
	case len(f) == 2 && f[0] == arraySize && !a.sized:
		n, err := parseCount(f[1])
		if err != nil {
			return false, err
		}
		return false, a.begin(n)
	case len(f) > 1 && f[0] == a.kind && a.sized:
		if a.seen++; a.seen > a.size {
			return false, fmt.Errorf("%w: more %s records than the %d announced", ErrProtocol, a.kind, a.size)
		}
		return false, a.record(f[1:])
	case len(f) == 1 && f[0] == commandComplete && a.sized:
		if a.seen < a.size && !a.upperBound {
			return false, fmt.Errorf("%w: %d %s records of %d announced", ErrProtocol, a.seen, a.kind, a.size)
		}
		return true, nil
	case len(f) > 1 && f[0] == commandComplete:
		return false, fmt.Errorf("%w: %s in one message, as Pgpool-II before 4.3 sends it: upgrade it",
			ErrProtocol, a.kind)
	}
	return false, fmt.Errorf("%w: unexpected part of a %s reply: %s", ErrProtocol, a.kind, excerpt(payload))
}

func (a *arrayReply) begin(n int) error {
	a.size, a.sized = n, true
	if n < 0 || n > maxRecords {
		return fmt.Errorf("%w: %d %s records announced", ErrProtocol, n, a.kind)
	}
	return nil
}

// completed reads a reply of one message: CommandComplete and the fields after it.
func completed(payload []byte) ([]string, error) {
	f, err := fields(payload)
	if err != nil {
		return nil, err
	}
	if len(f) == 0 || f[0] != commandComplete {
		return nil, fmt.Errorf("%w: got %s, expected %s", ErrProtocol, excerpt(payload), commandComplete)
	}
	return f[1:], nil
}

// parseCount reads a number that must be one for the reply to make sense.
func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: got %q, expected a number", ErrProtocol, s)
	}
	return n, nil
}
