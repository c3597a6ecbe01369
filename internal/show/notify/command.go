package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command runs the operator's own command line with /bin/sh. The event is its
// standard input, in JSON, and in its environment as REPOOL_EVENT, REPOOL_NODES,
// REPOOL_CODE, REPOOL_RUN and REPOOL_TEXT: no part of an event ever becomes shell
// text.
type Command struct{ line string }

// NewCommand makes a Command of a shell command line.
func NewCommand(line string) *Command { return &Command{line: line} }

// Name is the configuration's word.
func (*Command) Name() string { return "on_event" }

// Send runs the program. Its whole process group is killed when ctx is done.
func (c *Command) Send(ctx context.Context, e Event) error {
	input, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.line)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a process it left behind may keep its output open
	var out tail
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(append(input, '\n')), &out, &out
	ids := make([]string, len(e.Nodes))
	for i, n := range e.Nodes {
		ids[i] = n.String()
	}
	cmd.Env = append(environment(), "REPOOL_EVENT="+string(e.Kind), "REPOOL_ID="+e.ID,
		"REPOOL_NODES="+strings.Join(ids, " "),
		"REPOOL_CODE="+e.Code, "REPOOL_RUN="+e.Run, "REPOOL_TEXT="+strings.ReplaceAll(e.Text, "\x00", ""))
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("on_event: %w: %s", err, out.String())
	}
	return nil
}

// environment is the part of ours that a program needs: nothing about passwords.
func environment() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "USER", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// tail keeps the last bytes of a program's output.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 500
	t.b = append(t.b, p...)
	if n := len(t.b) - most; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.Join(strings.Fields(string(t.b)), " ") }
