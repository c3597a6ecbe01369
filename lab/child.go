package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrKilled is returned when a program of the lab that was awaited has died of SIGKILL.
var ErrKilled = errors.New("it was killed")

// child is a long-lived process that this Lab started itself.
type child struct {
	proc
	done   chan struct{} // closed when it has ended and been collected
	killed bool          // by SIGKILL; valid once done is closed
}

// spawn starts a long-lived program on a host under a name; its output goes to
// log, its pid to run/<name>.pid.
func (l *Lab) spawn(host, name, log string, argv ...string) error {
	if p, ok := l.running(name); ok {
		return fmt.Errorf("start %s: it runs already, as process %d", name, p.PID)
	}
	out, err := l.appendTo(log)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := l.Command(context.Background(), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := l.startOn(host, cmd); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p, ok := readProc(cmd.Process.Pid)
	if !ok {
		return fmt.Errorf("start %s: process %d vanished at once, see %s", name, cmd.Process.Pid, log)
	}
	c := &child{proc: p, done: make(chan struct{})}
	go collect(cmd, c)
	l.mu.Lock()
	l.children[name] = c
	l.mu.Unlock()
	l.logf("%s: process %d", name, p.PID)
	return l.Owner.write(l.pidFile(name), fmt.Sprintf("%d %d\n", p.PID, p.Started), 0o600)
}

func collect(cmd *exec.Cmd, c *child) {
	_ = cmd.Wait() // how it ended is in its own log; here it only must not stay a zombie
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		c.killed = st.Signaled() && st.Signal() == syscall.SIGKILL
	}
	close(c.done)
}

func (l *Lab) pidFile(name string) string { return l.path("run", name+".pid") }

// running finds the process that was started under a name, by whichever
// process of ours; ok is false when it does not run.
func (l *Lab) running(name string) (proc, bool) {
	b, err := os.ReadFile(l.pidFile(name))
	if err != nil {
		return proc{}, false
	}
	f := strings.Fields(string(b))
	if len(f) != 2 {
		return proc{}, false
	}
	pid, err1 := strconv.Atoi(f[0])
	started, err2 := strconv.ParseUint(f[1], 10, 64)
	p, ok := readProc(pid)
	return p, err1 == nil && err2 == nil && ok && p.Started == started && !p.Ended()
}

// stop sends sig and waits; a process that has not ended within limit is
// killed, with its descendants, and that is an error.
func (l *Lab) stop(name string, sig syscall.Signal, limit time.Duration) error {
	p, ok := l.running(name)
	if !ok {
		return nil
	}
	family := append([]proc{p}, descendants(p)...)
	p.signal(sig)
	p.signal(syscall.SIGCONT)
	if err := waitGone([]proc{p}, limit); err != nil {
		if kill := killHard(family); kill != nil {
			return fmt.Errorf("stop %s: %w", name, kill)
		}
		return fmt.Errorf("stop %s: %w; it was killed", name, err)
	}
	l.logf("%s: stopped", name)
	return nil
}

// kill is kill -9 of the process alone; what it started lives on, as in life.
func (l *Lab) kill(name string) error {
	p, ok := l.running(name)
	if !ok {
		return fmt.Errorf("kill %s: it does not run", name)
	}
	p.signal(syscall.SIGKILL)
	l.logf("%s: killed", name)
	return waitGone([]proc{p}, 10*time.Second)
}

// wasKilled says whether a child that has ended died of SIGKILL.
func (l *Lab) wasKilled(ctx context.Context, name string) bool {
	l.mu.Lock()
	c := l.children[name]
	l.mu.Unlock()
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return c.killed
	case <-ctx.Done():
		return false
	}
}

// waitListening waits until name accepts connections on its host, or has ended.
func (l *Lab) waitListening(ctx context.Context, host, name, network, addr, log string) error {
	return WaitFor(ctx, name+" to listen", func(context.Context) error {
		err := l.on(host, func() error {
			conn, err := net.DialTimeout(network, addr, time.Second)
			if err != nil {
				return err
			}
			return conn.Close()
		})
		if err == nil {
			return nil
		}
		if _, ok := l.running(name); !ok {
			said, _ := os.ReadFile(log)
			ended := fmt.Errorf("%s has ended: %s", name, lastLines(string(said), 15))
			if l.wasKilled(ctx, name) {
				ended = errors.Join(ended, ErrKilled)
			}
			return Stop(ended)
		}
		return err
	})
}
