package lab

import (
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process collect what ends in its labs while it lives.
// Servers started by pg_ctl belong to the system's first process, and in a
// container that may collect its dead late or never; meanwhile PostgreSQL takes
// the dead postmaster for a live one and refuses to start.
func (l *Lab) adoptOrphans() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		l.logf("cannot collect dead servers: %v", err)
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var seen []proc
		var again <-chan time.Time
		for {
			select {
			case <-quit:
				return
			case <-ended:
			case <-again:
			}
			if seen = collectOrphans(seen); len(seen) > 0 {
				again = time.After(20 * time.Millisecond)
			} else {
				again = nil
			}
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stops = append(l.stops, func() { signal.Stop(ended); close(quit); <-done })
}

// collectOrphans collects the orphans that were already dead when the list
// before was made, and gives those seen for the first time.
func collectOrphans(before []proc) (fresh []proc) {
	for _, z := range deadOrphans() {
		known := slices.ContainsFunc(before, func(b proc) bool { return b.PID == z.PID && b.Started == z.Started })
		if known {
			_, _ = unix.Wait4(z.PID, nil, unix.WNOHANG, nil) // collected by another: as good
		} else {
			fresh = append(fresh, z)
		}
	}
	return fresh
}

// deadOrphans are this process's dead children that it did not start itself:
// those it did start have somebody waiting for them.
func deadOrphans() []proc {
	var out []proc
	var own map[int]bool
	for _, p := range procs() {
		if p.PPID != os.Getpid() || p.State != 'Z' {
			continue
		}
		if own == nil {
			own = startedHere()
		}
		if !own[p.PID] {
			out = append(out, p)
		}
	}
	return out
}

// startedHere are the processes that package os started and has not collected:
// it holds a pidfd of each (Go ≥ 1.23, Linux ≥ 5.4).
func startedHere() map[int]bool {
	own := map[int]bool{}
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		return own
	}
	for _, path := range infos {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // closed in between
		}
		for _, line := range strings.Split(string(b), "\n") {
			if v, ok := strings.CutPrefix(line, "Pid:"); ok {
				if pid, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
					own[pid] = true
				}
			}
		}
	}
	return own
}

// waitCollected waits until no trace of ps is left, not even a zombie; for
// limit at most, since not everybody's first process collects its dead.
func waitCollected(ps []proc, limit time.Duration) {
	deadline := time.Now().Add(limit)
	for _, p := range ps {
		_ = pollUntil(deadline, func() bool {
			now, ok := readProc(p.PID)
			return !ok || now.Started != p.Started
		})
	}
}
