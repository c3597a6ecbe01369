package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Catch stops (SIGSTOP) a program of the lab in mid-work: the processes whose
// command lines contain every one of words, as soon as they run and have
// written so many bytes between them, to wherever. The function it returns lets
// them go on. A program that works for a tenth of a second is caught in the
// middle too: once seen it goes on in steps of a millisecond.
func (l *Lab) Catch(ctx context.Context, wrote int64, words ...string) (resume func(), err error) {
	resume = func() { l.Signal(syscall.SIGCONT, words...) }
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		switch caught := l.with(words); {
		case len(caught) == 0:
			last = errors.New("none runs")
		default:
			if last = step(ctx, caught, wrote); last == nil {
				return resume, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("catch a program with %q: %w: %w", words, ctx.Err(), last)
		case <-tick.C:
		}
	}
}

// step lets processes go on by milliseconds until they have written so much. It
// leaves them stopped, or says why not.
func step(ctx context.Context, ps []proc, wrote int64) error {
	for {
		signalAll(ps, syscall.SIGSTOP)
		if !slices.ContainsFunc(ps, proc.alive) {
			return fmt.Errorf("it ended before it had written %d bytes", wrote)
		}
		var sum int64
		for _, p := range ps {
			sum += int64(p.Written())
		}
		if sum >= wrote {
			return nil
		}
		signalAll(ps, syscall.SIGCONT)
		next := time.NewTimer(time.Millisecond)
		select {
		case <-ctx.Done():
			return fmt.Errorf("it has written %d bytes of %d", sum, wrote)
		case <-next.C:
		}
	}
}

// with lists the lab's processes whose command lines contain each of words.
func (l *Lab) with(words []string) []proc {
	return slices.DeleteFunc(l.procs(), func(p proc) bool {
		line := p.Title()
		return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
	})
}
