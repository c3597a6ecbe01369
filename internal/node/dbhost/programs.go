package dbhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/node/process"
	"github.com/repool/repool/internal/node/resync"
)

// program is one run of a child process.
type program struct {
	name string // path, or a name in BinDir
	args []string
	env  []string
	// line is called for each line of output, stdout and stderr together; a
	// carriage return ends a line too (progress is printed so). May be nil.
	line func(string)
}

// tailLines is how much of a program's output and of a log an error carries.
const tailLines = 15

// run starts the program and waits for it. It is recorded among the node's
// children, so that a later agent can kill it. When ctx is done its process
// group is killed. The returned text is the last lines of its output.
func (h *Host) run(ctx context.Context, p program) (string, error) {
	out := &lineTail{see: p.line}
	cmd, err := h.start(p, out)
	if err != nil {
		return "", err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil // it ended well, and a server that it started keeps our pipe
		}
	case <-ctx.Done():
		// ESRCH: it ended by itself just now, and Wait tells how.
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		err = errors.Join(context.Cause(ctx), <-done)
	}
	out.flush()
	if rerr := h.children.Remove(cmd.Process.Pid); rerr != nil {
		h.log.Warn("a finished program stays in the list of children", "program", filepath.Base(p.name), "err", rerr)
	}
	if err != nil {
		return out.text(), fmt.Errorf("%s: %w", filepath.Base(p.name), err)
	}
	return out.text(), nil
}

// start starts the program in a session of its own with nothing inherited, and
// records it. It is killed again when it cannot be recorded.
func (h *Host) start(p program, out io.Writer) (*exec.Cmd, error) {
	name := p.name
	if !filepath.IsAbs(name) {
		bin, err := h.binDir()
		if err != nil {
			return nil, err
		}
		name = filepath.Join(bin, name)
	}
	cmd := exec.Command(name, p.args...)
	cmd.Dir = "/"
	cmd.Env = append(h.environment(), p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A grandchild that keeps our pipe must not keep us waiting.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	child, err := process.Read(cmd.Process.Pid)
	if err == nil {
		err = h.children.Add(child.PID, child.Started, filepath.Base(name))
	}
	if err != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		return nil, errors.Join(fmt.Errorf("record %s among the node's programs: %w", name, err), cmd.Wait())
	}
	return cmd, nil
}

// environment is what every program gets: nothing of PG*, no locale.
func (h *Host) environment() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if os.Getenv("PATH") == "" {
		env = append(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	}
	for k, v := range h.o.Env {
		env = append(env, k+"="+v)
	}
	return env
}

// KillLeftovers kills programs that an earlier, dead agent left running on this
// node: those recorded, and any PostgreSQL tool or server that works on InRepair
// or New. A server at Home is no stray.
func (h *Host) KillLeftovers(ctx context.Context) error {
	list, err := h.children.List()
	if err != nil {
		return err
	}
	for _, c := range list {
		p, err := process.Read(c.PID)
		if err == nil && p.Started == c.StartTicks {
			h.log.Warn("killing a program that an earlier agent left", "program", c.Name, "pid", c.PID)
			if err := h.killGroup(ctx, p); err != nil {
				return err
			}
		}
		if err := h.children.Remove(c.PID); err != nil {
			return err
		}
	}
	places := []string{h.path(resync.InRepair), h.path(resync.New)}
	tools, err := toolsOn(places...)
	if err != nil {
		return err
	}
	for _, p := range tools {
		h.log.Warn("killing a program that works on the directory under repair", "pid", p.PID)
		if err := h.killGroup(ctx, p); err != nil {
			return err
		}
	}
	for _, dir := range places {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			continue // no server can be in it
		}
		if _, err := h.stopIn(ctx, dir, []stopMode{stopKill}); err != nil {
			return err
		}
	}
	return nil
}

// killGroup kills a process and its group and waits until it is gone.
func (h *Host) killGroup(ctx context.Context, p process.Process) error {
	if pgid, err := unix.Getpgid(p.PID); err == nil && pgid == p.PID {
		_ = unix.Kill(-p.PID, unix.SIGKILL) // what follows tells whether it went
	}
	if err := unix.Kill(p.PID, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d left by an earlier agent: %w", p.PID, err)
	}
	return poll(ctx, stopPatience, func() (bool, error) {
		now, err := process.Read(p.PID)
		return err != nil || now.Started != p.Started || now.Ended(), nil
	}, fmt.Sprintf("process %d left by an earlier agent does not go away", p.PID))
}

// toolsOn lists processes whose arguments name one of dirs: pg_rewind,
// pg_basebackup and the like, that a dead agent had no time to record.
func toolsOn(dirs ...string) ([]process.Process, error) {
	all, err := process.All()
	return slices.DeleteFunc(all, func(p process.Process) bool {
		args := p.Args()
		return len(args) == 0 || !strings.HasPrefix(filepath.Base(args[0]), "pg_") ||
			!slices.ContainsFunc(args[1:], func(arg string) bool {
				return slices.ContainsFunc(dirs, func(dir string) bool { return arg == dir || strings.HasSuffix(arg, "="+dir) })
			})
	}), err
}
