package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Down ends every process of the lab, whoever started it, and removes its
// directory unless Options.Keep is set. It may be called more than once.
func (l *Lab) Down(ctx context.Context) error {
	l.mu.Lock()
	stops := l.stops
	l.stops = nil
	l.mu.Unlock()
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	l.dropKept()
	err := l.endAll(ctx)
	l.freeLeftovers()
	l.endDelays()
	err = errors.Join(err, l.dropNetwork())
	if l.opts.Keep {
		return err
	}
	return errors.Join(err, l.Remove())
}

// Remove removes the directory of a lab that is down, with all that Keep kept.
func (l *Lab) Remove() (err error) {
	for _, n := range l.Nodes {
		for _, dir := range []string{n.DataDir, n.Home} {
			_ = unix.Unmount(dir, unix.MNT_DETACH) // not mounted is as good
		}
	}
	if rm := os.RemoveAll(l.Dir); rm != nil {
		err = errors.Join(err, fmt.Errorf("remove the lab: %w", rm))
	}
	if !within(l.Dir, l.Sockets) {
		if rm := os.RemoveAll(l.Sockets); rm != nil {
			err = errors.Join(err, fmt.Errorf("remove the lab's sockets: %w", rm))
		}
	}
	l.logf("removed: %s", l.Dir)
	return err
}

// endAll ends the lab's processes: repool first, so that it does not heal what
// goes down, then Pgpool-II, then the servers; what stays is killed.
func (l *Lab) endAll(ctx context.Context) error {
	stop := syscall.SIGQUIT // immediate: the data goes anyway
	if l.opts.Keep {
		stop = syscall.SIGINT
	}
	for _, exe := range []string{"", "pgpool", "postgres"} {
		var ps []proc
		for _, p := range l.procs() {
			e := p.Program()
			if e == exe || (exe == "" && e != "pgpool" && e != "postgres") {
				ps = append(ps, p)
			}
		}
		signalAll(ps, syscall.SIGCONT)
		if exe == "" {
			signalAll(ps, syscall.SIGTERM)
		} else {
			signalAll(heads(ps), stop)
		}
		limit := 5 * time.Second
		if d, ok := ctx.Deadline(); ok {
			limit = min(limit, time.Until(d))
		}
		if waitGone(ps, limit) != nil {
			left := leftoversOf(ps)
			if err := killHard(ps); err != nil {
				return fmt.Errorf("end the lab's processes: %w", err)
			}
			removeLeftovers(left)
		}
	}
	if err := killHard(l.procs()); err != nil {
		return fmt.Errorf("end the lab's processes: %w", err)
	}
	return nil
}

// heads are those of ps whose parent is not in ps: postmasters among servers.
func heads(ps []proc) []proc {
	in := map[int]bool{}
	for _, p := range ps {
		in[p.PID] = true
	}
	var out []proc
	for _, p := range ps {
		if !in[p.PPID] {
			out = append(out, p)
		}
	}
	return out
}
