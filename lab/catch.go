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
// written so many bytes between them, to wherever. It looks from now on; caught waits until they are stopped, and
// resume lets them go on. In a lab that is Catchable pg_rewind and pg_basebackup are held at their very start and led
// on from there, so that none can be over before it was seen. Any other program, and one that ran already, has to last
// a while.
func (l *Lab) Catch(ctx context.Context, wrote uint64, words ...string) (caught func() (resume func(), err error),
	err error) {
	look := func() error { return l.catchRunning(ctx, wrote, words) }
	if l.holds(words) {
		release, err := l.hold(words)
		if err != nil {
			return nil, err
		}
		look = func() error { return l.catchHeld(ctx, wrote, words, release) }
	}
	ended := make(chan error, 1)
	go func() { ended <- look() }()
	return func() (func(), error) {
		if err := <-ended; err != nil {
			return nil, fmt.Errorf("catch a program with %q: %w", words, err)
		}
		return func() { l.Signal(syscall.SIGCONT, words...) }, nil
	}, nil
}

// catchRunning stops programs that nothing holds. It looks at the highest priority that it may have.
func (l *Lab) catchRunning(ctx context.Context, wrote uint64, words []string) error {
	defer hurry()()
	return untilCaught(ctx, func() error {
		if found := l.with(words); len(found) > 0 {
			return step(ctx, found, wrote)
		}
		return errNoneRuns
	})
}

// catchHeld waits for a program that stops itself, and leads it on to where it is wanted.
func (l *Lab) catchHeld(ctx context.Context, wrote uint64, words []string, release func()) error {
	defer release()
	return untilCaught(ctx, func() error {
		found := slices.DeleteFunc(l.with(words), func(p proc) bool { return p.State != 'T' })
		if len(found) == 0 {
			return errNoneRuns
		}
		release()
		err := lead(ctx, found[0], wrote)
		if errors.Is(err, unix.EPERM) { // as in a container without the right to trace
			err = step(ctx, found, wrote)
		}
		signalAll(l.with(words), syscall.SIGSTOP) // what it has started, too
		return err
	})
}

// hurry gives this goroutine a thread of its own, with the highest priority that
// it and ps may have: on a busy machine each look at a program, and each step of
// it, would have to wait its turn.
func hurry(ps ...proc) (leisure func()) {
	runtime.LockOSThread()
	ids := []int{unix.Gettid()}
	for _, p := range ps {
		ids = append(ids, p.PID)
	}
	set := func(nice int) (err error) {
		for _, id := range ids {
			err = errors.Join(err, unix.Setpriority(unix.PRIO_PROCESS, id, nice))
		}
		return err
	}
	_ = set(-19) // without the right to it all else works
	return func() {
		_ = set(0)
		if nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && nice == 20 { // the kernel's word for 0
			runtime.UnlockOSThread() // else the thread ends with its goroutine
		}
	}
}

var errNoneRuns = errors.New("none runs")

// untilCaught tries again and again, since a program that ends too early may be started again.
func untilCaught(ctx context.Context, try func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// lead has a stopped process go on from one system call to the next until it is
// past the script that held it and has written so much, and leaves it stopped.
// It cannot run away meanwhile, however late this thread is. The error is
// unix.EPERM, and nothing has happened, where this process may not trace it.
func lead(ctx context.Context, p proc, wrote uint64) error {
	defer hurry(p)() // the kernel knows the tracer by its thread
	if err := unix.PtraceSeize(p.PID); err != nil {
		return fmt.Errorf("trace process %d: %w", p.PID, err)
	}
	defer context.AfterFunc(ctx, func() { p.signal(syscall.SIGSTOP) })() // ends the wait for one that does nothing
	for {
		var st unix.WaitStatus
		if _, err := unix.Wait4(p.PID, &st, unix.WALL, nil); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		}
		if !st.Stopped() {
			return fmt.Errorf("it ended before it had written %d bytes", wrote)
		}
		there := !p.waits() && p.Written() >= wrote
		if there || ctx.Err() != nil {
			p.signal(syscall.SIGSTOP)
			if err := unix.PtraceDetach(p.PID); err != nil {
				return fmt.Errorf("let go of process %d: %w", p.PID, err)
			}
			if !there {
				return fmt.Errorf("it has written %d bytes of %d", p.Written(), wrote)
			}
			_ = pollUntil(time.Now().Add(5*time.Second), p.stopped) // it does nothing more, and soon says so
			return nil
		}
		deliver := 0 // a signal meant for the process itself goes on to it
		if s := st.StopSignal(); uint32(st)>>16 == 0 && s != syscall.SIGTRAP && s != syscall.SIGSTOP {
			deliver = int(s)
		}
		if err := unix.PtraceSyscall(p.PID, deliver); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("lead process %d on: %w", p.PID, err)
		}
	}
}

// stopped says whether the process is, or has ended.
func (p proc) stopped() bool {
	now, ok := readProc(p.PID)
	return !ok || now.State == 'T' || now.Ended()
}

// waits says whether the process is still the script that holds a program.
func (p proc) waits() bool {
	return slices.Contains(held, p.Name) && !slices.Contains(held, p.Program())
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
		if sum >= wrote && !slices.ContainsFunc(ps, proc.waits) {
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
