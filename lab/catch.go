package lab

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Catch stops (SIGSTOP) a program of the lab in mid-work: the processes whose
// command lines contain every one of words, as soon as they run and have
// written so many bytes between them, to wherever. The function it returns lets
// them go on. A program that works for a tenth of a second is caught in the
// middle too: once seen it goes on in steps of a millisecond, and Catch looks at the highest priority that it may have.
func (l *Lab) Catch(ctx context.Context, wrote uint64, words ...string) (resume func(), err error) {
	resume = func() { l.Signal(syscall.SIGCONT, words...) }
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -19) // of this thread; without the right to it all else works
	defer func() {
		if unix.Setpriority(unix.PRIO_PROCESS, 0, 0) == nil {
			runtime.UnlockOSThread() // else the thread ends with its goroutine
		}
	}()
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
func step(ctx context.Context, ps []proc, wrote uint64) error {
	for {
		signalAll(ps, syscall.SIGSTOP)
		if !slices.ContainsFunc(ps, proc.alive) {
			return fmt.Errorf("it ended before it had written %d bytes", wrote)
		}
		var sum uint64
		for _, p := range ps {
			sum += p.Written()
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

// with lists the lab's processes whose command lines contain each of words. It looks at the command lines first, since
// whose a process is takes longer to tell.
func (l *Lab) with(words []string) []proc {
	var out []proc
	for _, p := range allProcs() {
		title := p.Title()
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(title, w) }) && l.owns(p) {
			out = append(out, p)
		}
	}
	return out
}
