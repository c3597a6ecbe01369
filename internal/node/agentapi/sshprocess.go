package agentapi

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
)

// sshProcess is a running ssh; conn is its standard input and output.
type sshProcess struct {
	cmd   *exec.Cmd
	conn  net.Conn
	said  *tail
	ended chan struct{}
	once  sync.Once
}

// sshArguments weaken no check, known_hosts included; where ssh would ask a
// person, it fails at once.
func sshArguments(s SSH) []string {
	args := []string{"-T", "-a", "-x", "-e", "none"}
	if s.ConfigFile != "" {
		args = append(args, "-F", s.ConfigFile)
	}
	for _, o := range []string{"BatchMode=yes", "ConnectTimeout=8", "ServerAliveInterval=5", "ServerAliveCountMax=2",
		"ClearAllForwardings=yes", "ControlMaster=no", "PermitLocalCommand=no"} {
		args = append(args, "-o", o)
	}
	if s.Port != 0 {
		args = append(args, "-p", strconv.Itoa(s.Port))
	}
	if s.User != "" {
		args = append(args, "-l", s.User)
	}
	return append(args, "--", s.Host, "repool agent --stdio --node "+strconv.Itoa(s.Node))
}

// sshEnvironment is what ssh needs from our environment, without any password.
func sshEnvironment() []string {
	env := []string{"LC_ALL=C", "SSH_ASKPASS_REQUIRE=never"}
	for _, k := range []string{"HOME", "USER", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "KRB5CCNAME", "REPOOL_LAB"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// startSSH starts ssh in a process group of its own, so that a jump host's ssh
// ends with it.
func startSSH(s SSH) (*sshProcess, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket pair for ssh: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ssh"), os.NewFile(uintptr(fds[1]), "ssh")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	_ = ours.Close() // conn has its own descriptor
	if err != nil {
		return nil, fmt.Errorf("open a socket pair for ssh: %w", err)
	}
	p := &sshProcess{
		cmd:  exec.Command(cmp.Or(s.Program, "ssh"), sshArguments(s)...),
		conn: conn, said: &tail{}, ended: make(chan struct{}),
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, theirs, p.said
	p.cmd.Env = sshEnvironment()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // a connection master of the operator may hold its standard error
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start ssh: %w", err), conn.Close())
	}
	go func() {
		_ = p.cmd.Wait() // its standard error says how it ended
		close(p.ended)
	}()
	return p, nil
}

func (p *sshProcess) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end kills ssh and what it has started, and waits for it.
func (p *sshProcess) end() {
	p.once.Do(func() {
		_ = p.conn.Close()                                    // both may fail:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
	})
	<-p.ended
}

// explain adds what ssh wrote to its standard error, if it has ended.
func (p *sshProcess) explain(err error) error {
	select {
	case <-p.ended:
	case <-time.After(100 * time.Millisecond): // its last output may be on the way
	}
	said := p.said.text()
	if said == "" {
		return err
	}
	for _, known := range []struct {
		words string
		kind  error
	}{
		{"REMOTE HOST IDENTIFICATION HAS CHANGED", ErrHostKey}, {"Host key verification failed", ErrHostKey},
		{"Permission denied", ErrNotAllowed}, {"Too many authentication failures", ErrNotAllowed},
	} {
		if strings.Contains(said, known.words) {
			if errors.Is(known.kind, ErrHostKey) {
				said = known.words // the rest is a page of warning
			}
			return fmt.Errorf("ssh: %s: %w", said, known.kind)
		}
	}
	return fmt.Errorf("ssh: %s: %w", said, err)
}

// tail keeps the end of what a program writes.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = slices.Delete(t.buf, 0, over)
	}
	return len(b), nil
}

// text is on one line, without control characters: it goes into logs.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	printable := bytes.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, t.buf)
	return strings.ToValidUTF8(strings.Join(strings.Fields(string(printable)), " "), "\uFFFD")
}
