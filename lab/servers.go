package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// nodeProcs are the server processes that work in node i's data directory,
// also when the directory has been deleted under them. Postmasters, whose
// children the others are, come first.
func (l *Lab) nodeProcs(i int) []proc {
	var ps []proc
	for _, p := range allProcs() {
		if p.Program() == "postgres" && p.Dir() == l.Nodes[i].DataDir {
			ps = append(ps, p)
		}
	}
	first := heads(ps)
	for _, p := range ps {
		if !slices.ContainsFunc(first, func(h proc) bool { return h.PID == p.PID }) {
			first = append(first, p)
		}
	}
	return first
}

// Postmaster is the pid of node i's server, 0 when none runs. It shows whether
// a server was restarted.
func (l *Lab) Postmaster(i int) int {
	p, ok := readProc(l.lockPID(i))
	if !ok || !p.alive() || p.Program() != "postgres" {
		return 0
	}
	return p.PID
}

// lockPID is the pid in postmaster.pid, 0 when there is none.
func (l *Lab) lockPID(i int) int {
	b, err := os.ReadFile(filepath.Join(l.Nodes[i].DataDir, "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0
	}
	return pid
}

// waitNoZombie waits a while for the postmaster that postmaster.pid names to be
// collected, if it is a zombie: see adoptOrphans.
func (l *Lab) waitNoZombie(i int) {
	if p, ok := readProc(l.lockPID(i)); ok && p.State == 'Z' {
		waitCollected([]proc{p}, 5*time.Second)
	}
}

// StartNode starts a server as an external process does, a person or a supervisor
// that knows nothing of repool: pg_ctl, or pg_ctlcluster in the Debian layout.
func (l *Lab) StartNode(ctx context.Context, i int) error {
	if l.opts.Layout == LayoutPlain {
		return l.startServer(ctx, i)
	}
	l.waitNoZombie(i)
	return l.ctlcluster(ctx, i, "start")
}

func (l *Lab) ctlcluster(ctx context.Context, i int, args ...string) error {
	n := l.Nodes[i]
	args = append([]string{strconv.Itoa(l.Major), n.Name}, args...)
	if err := l.runLogged(ctx, nodeHost(i), l.startLog(n), "/usr/bin/pg_ctlcluster", args...); err != nil {
		return fmt.Errorf("node %d: %w", i, err)
	}
	return nil
}

// StopMode is pg_ctl's.
type StopMode string

// Smart waits for sessions to end, fast ends them, immediate leaves the node
// as a crash would.
const (
	Smart     StopMode = "smart"
	Fast      StopMode = "fast"
	Immediate StopMode = "immediate"
)

// StopNode stops a server as an external process does and waits until it is gone.
func (l *Lab) StopNode(ctx context.Context, i int, mode StopMode) error {
	ps := l.nodeProcs(i)
	if l.opts.Layout == LayoutDebian {
		if err := l.ctlcluster(ctx, i, "stop", "-m", string(mode)); err != nil {
			return err
		}
	} else if _, err := l.run(ctx, "pg_ctl", "stop", "-s", "-W",
		"-m", string(mode), "-D", l.Nodes[i].DataDir); err != nil {
		return fmt.Errorf("stop node %d: %w", i, err)
	}
	// pg_ctl -w looks ten times a second for a postmaster.pid that is missing or
	// stale. Whoever starts the server again between two looks keeps it waiting.
	if err := waitGone(ps, time.Minute); err != nil {
		return fmt.Errorf("stop node %d: %w", i, err)
	}
	l.logf("node %d: stopped (%s)", i, mode)
	waitCollected(ps, 3*time.Second)
	return nil
}

// KillNode is kill -9 of a server's postmaster and all its children, and waits
// until they are really gone. It removes nothing.
func (l *Lab) KillNode(_ context.Context, i int) error {
	ps := l.nodeProcs(i)
	if len(ps) == 0 {
		return fmt.Errorf("kill node %d: no server runs", i)
	}
	ps[0].signal(syscall.SIGSTOP) // from now on it starts no more children
	ps = l.nodeProcs(i)
	l.noteLeftovers(leftoversOf(ps))
	if err := killHard(ps); err != nil {
		return fmt.Errorf("kill node %d: %w", i, err)
	}
	waitCollected(ps, 3*time.Second)
	l.logf("node %d: killed, %d processes", i, len(ps))
	return nil
}

// Freeze stops a server's processes where they are (SIGSTOP): connections
// stay open and nothing answers, as on a hung host.
func (l *Lab) Freeze(_ context.Context, i int) error {
	ps := l.nodeProcs(i)
	if len(ps) == 0 {
		return fmt.Errorf("freeze node %d: no server runs", i)
	}
	ps[0].signal(syscall.SIGSTOP)
	signalAll(l.nodeProcs(i), syscall.SIGSTOP)
	l.logf("node %d: frozen", i)
	return nil
}

// Thaw lets a server go on after Freeze or FreezeWalsenders.
func (l *Lab) Thaw(_ context.Context, i int) error {
	signalAll(l.nodeProcs(i), syscall.SIGCONT)
	l.logf("node %d: thawed", i)
	return nil
}

// PromoteByHand promotes a standby behind Pgpool-II's back and waits until it
// is a primary.
func (l *Lab) PromoteByHand(ctx context.Context, i int) error {
	done, err := l.Value(ctx, i, "SELECT pg_promote(true, 60)")
	if err == nil && done != "true" {
		err = errors.New("pg_promote gave up after a minute")
	}
	if err != nil {
		return fmt.Errorf("promote node %d: %w", i, err)
	}
	l.logf("node %d: promoted by hand", i)
	return nil
}

// Supervise plays a service manager that starts node i whenever it is down, at
// once and without a question. The function it returns ends that; so does
// Down. Its own starts may fail, as they do in life; it goes on trying.
func (l *Lab) Supervise(i int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if l.Postmaster(i) == 0 && exists(l.Nodes[i].DataDir+"/PG_VERSION") {
				err := l.StartNode(ctx, i)
				l.logf("node %d: supervisor started it: %v", i, err)
			}
		}
	}()
	stop = func() { cancel(); <-done }
	l.mu.Lock()
	l.stops = append(l.stops, stop)
	l.mu.Unlock()
	return stop
}

// PowerCutNode kills everything on node i's host at once: its server, wherever
// its directory is meanwhile, its separate agent, and the programs they run.
func (l *Lab) PowerCutNode(_ context.Context, i int) error {
	ps := l.hostProcs(i)
	signalAll(ps, syscall.SIGSTOP)
	ps = l.hostProcs(i) // those that were born in between
	l.noteLeftovers(leftoversOf(ps))
	if err := killHard(ps); err != nil {
		return fmt.Errorf("power cut of node %d: %w", i, err)
	}
	waitCollected(ps, 3*time.Second)
	l.logf("node %d: power cut, %d processes", i, len(ps))
	return nil
}

// hostProcs are the processes that would end with node i's host.
func (l *Lab) hostProcs(i int) []proc {
	home := l.Nodes[i].Home
	agent, runs := l.running(agentName(i))
	var out []proc
	for _, p := range labProcs(l.Dir) {
		if runs && p.PID == agent.PID || within(home, p.Dir()) || strings.Contains(p.Title(), home+"/") {
			out = append(out, p)
		}
	}
	return out
}

// ServersIn counts the server processes that work in a directory, such as one
// that nobody may start.
func (l *Lab) ServersIn(dir string) int {
	n := 0
	for _, p := range allProcs() {
		if p.Program() == "postgres" && p.Dir() == dir {
			n++
		}
	}
	return n
}

// PowerCut kills every process of the lab at once: servers, Pgpool-II,
// controller, agents and whatever they run.
func (l *Lab) PowerCut(context.Context) error {
	ps := l.procs()
	signalAll(ps, syscall.SIGSTOP)
	ps = l.procs() // those that were born in between
	l.noteLeftovers(leftoversOf(ps))
	if err := killHard(ps); err != nil {
		return fmt.Errorf("power cut: %w", err)
	}
	if err := killHard(l.procs()); err != nil {
		return fmt.Errorf("power cut: %w", err)
	}
	waitCollected(ps, 3*time.Second)
	l.logf("power cut: %d processes", len(ps))
	return nil
}
