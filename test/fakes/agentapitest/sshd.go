package agentapitest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SSHD is a real OpenSSH server on loopback, run as whoever runs the test, with
// its own keys.
type SSHD struct {
	Port int
	// Config is a matching client configuration: identity and known_hosts.
	Config string
	// User is whom to log in as.
	User string
	// Dir contains all of its files: known_hosts, authorized_keys, host key.
	Dir string
}

// SSHPrograms are what StartSSHD needs (Debian: openssh-server).
var SSHPrograms = []string{"/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"}

// StartSSHD starts a server whose only key may run nothing but command. It ends
// with the test.
func StartSSHD(t testing.TB, command string) *SSHD {
	t.Helper()
	for _, p := range SSHPrograms {
		if _, err := os.Stat(p); err != nil {
			t.Fatalf("%v: install openssh-server (make deps)", err)
		}
	}
	dir := t.TempDir()
	s := &SSHD{Dir: dir, Config: filepath.Join(dir, "ssh_config"), User: userName(t)}
	for _, key := range []string{"host", "user"} {
		keygen := exec.Command("/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key,
			"-f", filepath.Join(dir, key))
		if out, err := keygen.CombinedOutput(); err != nil {
			t.Fatalf("make a key: %v\n%s", err, out)
		}
	}
	s.Port = freePort(t)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	s.write(t, "authorized_keys", fmt.Sprintf("restrict,command=%q %s\n", command, read("user.pub")))
	s.write(t, "known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s\n", s.Port, read("host.pub")))
	s.write(t, "sshd_config", fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
`, s.Port, filepath.Join(dir, "host"), filepath.Join(dir, "authorized_keys")))
	s.write(t, "ssh_config", fmt.Sprintf("Host *\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
		"  UserKnownHostsFile %s\n  GlobalKnownHostsFile /dev/null\n",
		filepath.Join(dir, "user"), filepath.Join(dir, "known_hosts")))
	s.start(t)
	return s
}

func (s *SSHD) start(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 { // sshd run by root needs its privilege separation directory
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(s.Dir, "sshd.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(s.Dir, "sshd_config"))
	cmd.Stderr, cmd.Env = log, []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		<-ended
		if t.Failed() {
			if text, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("sshd:\n%s", text)
			}
		}
		_ = log.Close()
	})
	deadline := time.Now().Add(10 * time.Second)
	for !greets(s.Port) {
		select {
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("sshd has ended: %s", text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("sshd does not answer")
		}
	}
}

// greets says whether an ssh server answers at the port.
func greets(port int) bool {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Second)) // a fresh socket takes one
	b := make([]byte, 4)
	_, err = io.ReadFull(c, b)
	return err == nil && string(b) == "SSH-"
}

func (s *SSHD) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Forget gives the client another host key than the server's.
func (s *SSHD) Forget(t testing.TB) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Dir, "user.pub")) // any key but the right one
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s\n", s.Port, strings.TrimSpace(string(b))))
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func userName(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("/usr/bin/id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
