package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// env is the whole environment of every program of the lab. It is built from scratch,
// so that nothing of the caller's (PGHOST, PGDATA, a language) leaks in.
func (l *Lab) env() []string {
	env := []string{
		labMark + "=" + l.Dir,
		"HOME=" + l.Dir,
		"PATH=" + strings.Join([]string{l.BinDir, "/usr/local/sbin", "/usr/local/bin",
			"/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":"),
		"LC_ALL=C",
		"TZ=UTC",
		"PGPASSFILE=" + l.path(".pgpass"),
		"PCPPASSFILE=" + l.path(".pcppass"),
	}
	if l.opts.Layout == LayoutDebian {
		env = append(env, "PG_CLUSTER_CONF_ROOT="+l.path("etc"))
	}
	for _, k := range []string{"GOCOVERDIR", "GORACE", "GOTRACEBACK"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// Env is the environment that programs of the lab run with, for a caller that
// starts one (psql, pcp_node_info, repool status).
func (l *Lab) Env() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	env := l.env()
	for _, k := range sortedKeys(l.opts.Env) {
		env = append(env, k+"="+l.opts.Env[k])
	}
	return env
}

// Command prepares a program to run as the lab's user, in the lab's
// environment and directory. The caller runs it.
func (l *Lab) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if !strings.Contains(name, "/") {
		if p := filepath.Join(l.BinDir, name); exists(p) {
			name = p
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = l.Env()
	cmd.Dir = l.Dir
	cmd.WaitDelay = 5 * time.Second
	l.Owner.become(cmd)
	keepDescriptors()
	return cmd
}

// Repool runs the lab's repool with --config and args, and gives its output.
func (l *Lab) Repool(ctx context.Context, args ...string) (string, error) {
	return l.runOn(ctx, pgpoolHost(0), l.RepoolBin(), append(args, "--config", l.RepoolConf())...)
}

// run runs a program to its end and returns what it printed. Not for programs
// that leave a server behind, which would hold the pipe open.
func (l *Lab) run(ctx context.Context, name string, args ...string) (string, error) {
	return l.runOn(ctx, "", name, args...)
}

// on calls do where host is: in its network namespace, if it has one.
func (l *Lab) on(host string, do func() error) error {
	if ns := l.netns(host); ns != "" {
		return inNetns(ns, do)
	}
	return do()
}

// startOn starts a command on a host.
func (l *Lab) startOn(host string, cmd *exec.Cmd) error { return l.on(host, cmd.Start) }

// waitOn runs a command on a host to its end.
func (l *Lab) waitOn(host string, cmd *exec.Cmd) error {
	if err := l.startOn(host, cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// runOn is run on one of the lab's hosts.
func (l *Lab) runOn(ctx context.Context, host, name string, args ...string) (string, error) {
	cmd := l.Command(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := l.waitOn(host, cmd); err != nil {
		return out.String(), fmt.Errorf("run %s: %w\n%s", filepath.Base(name), err, lastLines(out.String(), 15))
	}
	return out.String(), nil
}

// runLogged runs a program that may leave a server behind; it prints to log.
func (l *Lab) runLogged(ctx context.Context, host, log, name string, args ...string) error {
	out, err := l.appendTo(log)
	if err != nil {
		return err
	}
	defer out.Close()
	start, err := out.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("open %s: %w", log, err)
	}
	cmd := l.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := l.waitOn(host, cmd); err != nil {
		said, _ := os.ReadFile(log)
		return fmt.Errorf("run %s: %w\n%s", filepath.Base(name), err,
			lastLines(string(said[min(int(start), len(said)):]), 15))
	}
	return nil
}

func (l *Lab) appendTo(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a log of the lab: %w", err)
	}
	if err := l.Owner.give(path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// keepDescriptors marks every descriptor above 2 as "close on exec". Go opens
// its own that way; those inherited from the caller's parent are not, and a
// server that lives on would hold them.
func keepDescriptors() {
	_ = unix.CloseRange(3, ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC) // Linux ≥ 5.11; before, they stay open
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
