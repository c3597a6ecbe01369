package dbhost

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"
)

// pollEvery is how often a condition on the same machine is looked at.
const pollEvery = 20 * time.Millisecond

// poll waits until cond holds. After patience the error is late; zero patience
// means as long as ctx lasts.
func poll(ctx context.Context, patience time.Duration, cond func() (bool, error), late string) error {
	var out <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		out = t.C
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := cond(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-out:
			return &lateError{msg: late}
		case <-tick.C:
		}
	}
}

// lateError says that a condition did not come true in time.
type lateError struct{ msg string }

func (e *lateError) Error() string { return e.msg }

// lineTail is a writer that splits what a program prints into lines, shows
// each to see and keeps the last ones.
type lineTail struct {
	see func(string)

	mu   sync.Mutex
	rest []byte
	last []string
}

// Write takes output as it comes; a carriage return ends a line too.
func (t *lineTail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = append(t.rest, b...)
	for {
		i := bytes.IndexAny(t.rest, "\r\n")
		if i < 0 {
			break
		}
		t.add(string(t.rest[:i]))
		t.rest = t.rest[i+1:]
	}
	return len(b), nil
}

func (t *lineTail) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rest) > 0 {
		t.add(string(t.rest))
		t.rest = nil
	}
}

func (t *lineTail) add(line string) {
	line = strings.TrimSpace(line)
	if line == "" {
		return
	}
	if t.last = append(t.last, line); len(t.last) > tailLines {
		t.last = t.last[1:]
	}
	if t.see != nil {
		t.see(line)
	}
}

func (t *lineTail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.last, "\n")
}
