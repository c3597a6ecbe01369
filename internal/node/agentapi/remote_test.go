package agentapi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/test/fakes/agentapitest"
)

// stdioEnv turns this test program into `repool agent --stdio` on that socket:
// what sshd's forced command starts.
const stdioEnv = "REPOOL_TEST_STDIO"

func TestMain(m *testing.M) {
	if socket := os.Getenv(stdioEnv); socket != "" {
		if len(os.Args) > 1 && os.Args[1] == "noise" {
			fmt.Println("Last login: yesterday\nwelcome to db1")
		}
		if err := agentapi.Stdio(context.Background(), os.Stdin, os.Stdout, socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(4)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// closing closes a client with the test.
func closing(t *testing.T, a agentapi.Agent) agentapi.Agent {
	t.Helper()
	t.Cleanup(func() {
		if err := a.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// served serves a as an agent's process does, on a unix socket and, with conf,
// over TLS; it gives both addresses.
func served(
	t *testing.T, a agentapi.Agent, self *agentapi.Self, conf func() (*tls.Config, error),
) (socket, addr string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "agent.sock")
	srv := agentapi.NewServer(a, self, conf, slog.New(slog.DiscardHandler))
	unix, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	n := 1
	go func() { done <- srv.Serve(unix) }()
	if conf != nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		n++
		go func() { done <- srv.ServeTLS(l, "", "") }()
	}
	t.Cleanup(func() {
		_ = srv.Close()
		for range n {
			if err := <-done; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("serve: %v", err)
			}
		}
	})
	return socket, addr
}

// sides are the certificates of a controller and an agent on this host.
func sides(t *testing.T) (dir string, controller, agent *certs.Files) {
	t.Helper()
	dir = t.TempDir()
	ca, err := certs.Init(dir, "test authority", 0)
	if err != nil {
		t.Fatal(err)
	}
	side := func(r certs.Request) *certs.Files {
		p, err := certs.Issue(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		return &certs.Files{CA: ca.Cert, Cert: p.Cert, Key: p.Key}
	}
	return dir, side(certs.Request{Role: certs.Controller, Name: "pgpool1"}),
		side(certs.Request{Role: certs.Agent, Name: "db1", Hosts: []string{"127.0.0.1"}})
}

func controllers(names ...string) *agentapi.Self {
	return &agentapi.Self{Node: 0, Version: "test", Controllers: func() []string { return names }}
}

// overTLS serves a over TLS and reaches it through that.
func overTLS(t *testing.T, a agentapi.Agent) agentapi.Agent {
	t.Helper()
	_, controller, own := sides(t)
	_, addr := served(t, a, controllers("pgpool1"), own.Server)
	return closing(t, agentapi.DialTLS(addr, controller.Client, &agentapi.Expect{Node: 0}))
}

// overSSH serves a as a resident agent, and reaches it through a real sshd and
// its forced command.
func overSSH(t *testing.T, a agentapi.Agent) agentapi.Agent {
	t.Helper()
	socket, _ := served(t, a, &agentapi.Self{Node: 0, Version: "test"}, nil)
	s := agentapitest.StartSSHD(t, fmt.Sprintf("%s=%s %s noise", stdioEnv, socket, os.Args[0]))
	return closing(t, agentapi.DialSSH(sshTo(s), &agentapi.Expect{Node: 0}))
}

func sshTo(s *agentapitest.SSHD) agentapi.SSH {
	return agentapi.SSH{User: s.User, Host: "127.0.0.1", Port: s.Port, ConfigFile: s.Config}
}

func TestContractOverTLS(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(*testing.T) agentapi.Agent{
		"fake":  func(t *testing.T) agentapi.Agent { return overTLS(t, newFake(t)) },
		"agent": func(t *testing.T) agentapi.Agent { return overTLS(t, newReal(t)) },
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); agentapitest.RunContract(t, fresh) })
	}
}

func TestContractOverSSH(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(*testing.T) agentapi.Agent{
		"fake":  func(t *testing.T) agentapi.Agent { return overSSH(t, newFake(t)) },
		"agent": func(t *testing.T) agentapi.Agent { return overSSH(t, newReal(t)) },
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); agentapitest.RunContract(t, fresh) })
	}
}

// refusedWith asserts that every call is refused for one reason.
func refusedWith(t *testing.T, a agentapi.Agent, want error, code codes.Code) {
	t.Helper()
	for call, err := range calls(t.Context(), a) {
		if !errors.Is(err, want) || agentapi.Code(err) != code {
			t.Errorf("%s: got %v (code %q), want %v", call, err, agentapi.Code(err), want)
		}
	}
}

func TestSSHThatIsTurnedAway(t *testing.T) {
	t.Parallel()
	t.Run("another host key", func(t *testing.T) {
		t.Parallel()
		s := agentapitest.StartSSHD(t, "true")
		s.Forget(t)
		refusedWith(t, closing(t, agentapi.DialSSH(sshTo(s), nil)), agentapi.ErrHostKey, "agent-host-key")
	})
	t.Run("a key that is not authorized", func(t *testing.T) {
		t.Parallel()
		s := agentapitest.StartSSHD(t, "true")
		if err := os.WriteFile(filepath.Join(s.Dir, "authorized_keys"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refusedWith(t, closing(t, agentapi.DialSSH(sshTo(s), nil)), agentapi.ErrNotAllowed, "agent-not-allowed")
	})
	t.Run("no resident agent", func(t *testing.T) {
		t.Parallel()
		s := agentapitest.StartSSHD(t, fmt.Sprintf("%s=%s %s", stdioEnv, filepath.Join(t.TempDir(), "none.sock"), os.Args[0]))
		refusedWith(t, closing(t, agentapi.DialSSH(sshTo(s), nil)), agentapi.ErrNotRunning, "agent-not-running")
	})
	t.Run("another program", func(t *testing.T) {
		t.Parallel()
		s := agentapitest.StartSSHD(t, "echo hello")
		_, err := closing(t, agentapi.DialSSH(sshTo(s), nil)).Inspect(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no repool agent") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		s := agentapitest.StartSSHD(t, "true")
		to := sshTo(s)
		to.Port = 1 // tcpmux: nobody has it
		_, err := closing(t, agentapi.DialSSH(to, nil)).Inspect(t.Context())
		if err == nil || agentapi.Code(err) != "" || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v", err)
		}
	})
}

// An ssh that hangs after connecting delays no call beyond its deadline, and is
// gone when the client is closed.
func TestSSHThatHangsAfterConnecting(t *testing.T) {
	t.Parallel()
	s := agentapitest.StartSSHD(t, "exec sleep 600")
	a := agentapi.DialSSH(sshTo(s), nil)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		start := time.Now()
		_, err := a.Inspect(ctx)
		cancel()
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 3*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	}
	// A hook that ends leaves no ssh behind that is still at it.
	start := time.Now()
	if err := a.(io.Closer).Close(); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("closed after %s: %v", time.Since(start), err)
	}
	if out, err := exec.Command("/usr/bin/pgrep", "-P", fmt.Sprint(os.Getpid()), "-f", s.Config).Output(); err == nil {
		t.Errorf("ssh processes are left: %s", out)
	}
	a = agentapi.DialSSH(sshTo(s), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := a.Inspect(ctx); err == nil || !strings.Contains(err.Error(), "nothing answers") {
		t.Errorf("in the end: %v", err)
	}
	if err := a.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

// A resident agent that is replaced is found again over a new ssh.
func TestSSHReconnects(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	start := func() (stop func()) {
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := agentapi.NewServer(newFake(t), nil, nil, slog.New(slog.DiscardHandler))
		done := make(chan error, 1)
		go func() { done <- srv.Serve(l) }()
		return func() { _ = srv.Close(); <-done }
	}
	stop := start()
	s := agentapitest.StartSSHD(t, fmt.Sprintf("%s=%s %s", stdioEnv, socket, os.Args[0]))
	a := closing(t, agentapi.DialSSH(sshTo(s), nil))
	if _, err := a.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := a.Inspect(t.Context()); err == nil {
		t.Error("an agent that has ended answers")
	}
	t.Cleanup(start())
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := a.Inspect(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// TestFactsArriveUnchanged over every transport: large numbers, times with an
// offset, what is nil.
func TestFactsArriveUnchanged(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 12, 30, 15, 123456789, time.FixedZone("", 2*3600))
	sent := topology.Inspection{
		Source: topology.Source{At: at, Err: "\u65e5\u672c <&> \x00"}, Dir: topology.DirPresent,
		Control: &topology.Control{SystemID: 1<<64 - 1, CheckpointLSN: 1<<63 + 1},
		History: topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 1<<64 - 1}}},
	}
	for name, over := range map[string]func(*testing.T, agentapi.Agent) agentapi.Agent{
		"unix": overSocket, "TLS": overTLS, "ssh": overSSH,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := over(t, &agentapitest.Fake{State: sent, Old: true}).Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.At.Format(time.RFC3339Nano) != at.Format(time.RFC3339Nano) {
				t.Errorf("time %s, sent %s", got.At, at)
			}
			got.At = at
			if !reflect.DeepEqual(got, sent) {
				t.Errorf("got\n%+v, sent\n%+v", got, sent)
			}
		})
	}
}
