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
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/agentapi"
	"github.com/repool/repool/internal/agentapi/agentapitest"
	"github.com/repool/repool/internal/certs"
	"github.com/repool/repool/internal/topology"
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
func served(t *testing.T, a agentapi.Agent, self *agentapi.Self, conf func() (*tls.Config, error)) (socket, addr string) {
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
	return dir, side(certs.Request{Role: certs.Controller, Name: "pgpool1"}), side(certs.Request{Role: certs.Agent, Name: "db1", Hosts: []string{"127.0.0.1"}})
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
func refusedWith(t *testing.T, a agentapi.Agent, want error, code string) {
	t.Helper()
	for call, err := range calls(t.Context(), a) {
		if !errors.Is(err, want) || agentapi.Code(err) != code {
			t.Errorf("%s: got %v (code %q), want %v", call, err, agentapi.Code(err), want)
		}
	}
}

func TestOnlyNamedControllersAreServed(t *testing.T) {
	t.Parallel()
	dir, controller, own := sides(t)
	_, addr := served(t, newFake(t), controllers("pgpool2", "pgpool3"), own.Server)
	refusedWith(t, closing(t, agentapi.DialTLS(addr, controller.Client, nil)), agentapi.ErrNotAllowed, "agent-not-allowed")
	p, err := certs.Issue(dir, certs.Request{Role: certs.Controller, Name: "pgpool3"})
	if err != nil {
		t.Fatal(err)
	}
	named := &certs.Files{CA: controller.CA, Cert: p.Cert, Key: p.Key}
	if _, err := closing(t, agentapi.DialTLS(addr, named.Client, nil)).Inspect(t.Context()); err != nil {
		t.Errorf("a named controller: %v", err)
	}
}

// A caller that says it does not use TLS, over TLS, is asked for its name too.
func TestSchemeIsNotBelieved(t *testing.T) {
	t.Parallel()
	_, controller, own := sides(t)
	_, addr := served(t, newFake(t), controllers("somebody else"), own.Server)
	conf, err := controller.Client()
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"http", "https"} {
		conf := conf.Clone()
		conf.NextProtos, conf.ServerName = []string{"h2"}, "127.0.0.1"
		dial := func(context.Context, string, string) (net.Conn, error) { return tls.Dial("tcp", addr, conf) }
		var protocols http.Protocols
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
		tr := &http.Transport{Protocols: &protocols, DialContext: dial, DialTLSContext: dial}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+"://"+addr+"/repool.agent.v1.AgentService/Inspect", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK || !strings.Contains(string(text), "none of that is among") {
			t.Errorf("%s: %s %s", scheme, resp.Status, text)
		}
	}
}

func TestCertificatesThatAreNotAccepted(t *testing.T) {
	t.Parallel()
	_, controller, own := sides(t)
	_, stranger, strange := sides(t)
	_, addr := served(t, newFake(t), controllers("pgpool1"), own.Server)
	_, foreign := served(t, newFake(t), controllers("pgpool1"), strange.Server)
	missing := &certs.Files{CA: "/nowhere", Cert: "/nowhere", Key: "/nowhere"}
	for name, a := range map[string]agentapi.Agent{
		"of another authority":        agentapi.DialTLS(addr, stranger.Client, nil),
		"an agent of another one":     agentapi.DialTLS(foreign, controller.Client, nil),
		"an agent's in a controller":  agentapi.DialTLS(addr, own.Client, nil),
		"one that cannot be read":     agentapi.DialTLS(addr, missing.Client, nil),
		"of an agent of another name": agentapi.DialTLS(strings.Replace(addr, "127.0.0.1", "localhost", 1), controller.Client, nil),
		"none, by a plain connection ": closing(t, agentapi.DialTLS(addr, func() (*tls.Config, error) {
			c, err := controller.Client()
			c = c.Clone()
			c.Certificates = nil
			return c, err
		}, nil)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusedWith(t, closing(t, a), agentapi.ErrCertificate, "agent-certificate")
		})
	}
}

// A certificate that expires while its connection is open serves no more, and
// its renewal does again, without a restart of either side.
func TestCertificateExpiresAndIsRenewed(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"controller", "agent"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			dir, controller, own := sides(t)
			short, want := controller, agentapi.ErrNotAllowed
			if side == "agent" {
				short, want = own, agentapi.ErrCertificate
			}
			if _, err := certs.Renew(dir, short.Cert, 2*time.Second); err != nil {
				t.Fatal(err)
			}
			_, addr := served(t, newFake(t), controllers("pgpool1"), own.Server)
			a := closing(t, agentapi.DialTLS(addr, controller.Client, nil))
			if _, err := a.Inspect(t.Context()); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(20 * time.Second)
			for {
				_, err := a.Inspect(t.Context())
				if err != nil {
					if !errors.Is(err, want) && !errors.Is(err, agentapi.ErrCertificate) {
						t.Errorf("after it expired: %v", err)
					}
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("an expired certificate is served")
				}
			}
			if _, err := certs.Renew(dir, short.Cert, time.Hour); err != nil {
				t.Fatal(err)
			}
			for {
				_, err := a.Inspect(t.Context())
				if err == nil {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("after the renewal: %v", err)
				}
			}
		})
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
		if _, err := closing(t, agentapi.DialSSH(sshTo(s), nil)).Inspect(t.Context()); err == nil || !strings.Contains(err.Error(), "no repool agent") {
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

// An ssh that hangs after connecting holds nobody up beyond his own deadline,
// and is gone when the client is closed.
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
	if _, err := a.Inspect(ctx); err == nil || !strings.Contains(err.Error(), "says nothing") {
		t.Errorf("in the end: %v", err)
	}
	if err := a.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

// A resident agent that is replaced is found again over a new ssh.
func TestSSHConnectionIsMadeAnew(t *testing.T) {
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

func TestVersionSkew(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	_, h := agentapi.NewHandler(fake, nil)
	for far, ok := range map[int]bool{agentapi.Protocol - 2: false, agentapi.Protocol - 1: true, agentapi.Protocol: true, agentapi.Protocol + 1: true, agentapi.Protocol + 2: false} {
		// The far side of a controller.
		path := filepath.Join(t.TempDir(), "agent.sock")
		serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(&otherProtocol{w, far}, r)
		}))
		_, err := agentapi.DialUnix(path, nil).Inspect(t.Context())
		if (err == nil) != ok || !ok && (!errors.Is(err, agentapi.ErrVersionSkew) || !strings.Contains(err.Error(), "upgrade the older")) {
			t.Errorf("an agent of protocol %d: %v", far, err)
		}
		// The far side of an agent.
		path = filepath.Join(t.TempDir(), "agent.sock")
		serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Repool-Protocol", fmt.Sprint(far))
			h.ServeHTTP(w, r)
		}))
		_, err = agentapi.DialUnix(path, nil).Inspect(t.Context())
		if (err == nil) != ok || !ok && agentapi.Code(err) != "agent-version-skew" {
			t.Errorf("a controller of protocol %d: %v", far, err)
		}
	}
	// The release before the handshake said nothing.
	path := filepath.Join(t.TempDir(), "agent.sock")
	serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k := range r.Header {
			if strings.HasPrefix(k, "Repool-") {
				r.Header.Del(k)
			}
		}
		h.ServeHTTP(w, r)
	}))
	if _, err := agentapi.DialUnix(path, nil).Inspect(t.Context()); err != nil {
		t.Errorf("one release back: %v", err)
	}
}

// otherProtocol is an answer of another release.
type otherProtocol struct {
	http.ResponseWriter
	protocol int
}

func (o *otherProtocol) Write(b []byte) (int, error) { o.mark(); return o.ResponseWriter.Write(b) }
func (o *otherProtocol) WriteHeader(status int)      { o.mark(); o.ResponseWriter.WriteHeader(status) }
func (o *otherProtocol) mark()                       { o.Header().Set("Repool-Protocol", fmt.Sprint(o.protocol)) }

func TestAgentOfAnotherNodeOrCluster(t *testing.T) {
	t.Parallel()
	self := &agentapi.Self{Node: 3, System: func() topology.SystemID { return 77 }}
	socket, _ := served(t, newFake(t), self, nil)
	other := agentapi.DialUnix(socket, &agentapi.Expect{Node: 2})
	refusedWith(t, other, agentapi.ErrWrongNode, "agent-wrong-node")
	dial := func(system topology.SystemID) agentapi.Agent {
		return agentapi.DialUnix(socket, &agentapi.Expect{Node: 3, System: func() topology.SystemID { return system }})
	}
	foreign := dial(78)
	if _, err := foreign.Inspect(t.Context()); err != nil {
		t.Errorf("looking is allowed: %v", err)
	}
	for call, err := range calls(t.Context(), foreign) {
		switch call {
		case "Acquire", "StartRun", "Clear", "Cancel", "Fence":
			if !errors.Is(err, agentapi.ErrForeignSystem) || agentapi.Code(err) != "agent-foreign-system" {
				t.Errorf("%s: %v", call, err)
			}
		default:
			if errors.Is(err, agentapi.ErrForeignSystem) {
				t.Errorf("%s: %v", call, err)
			}
		}
	}
	for _, known := range []topology.SystemID{0, 77} {
		if _, err := dial(known).Acquire(t.Context(), "x"); err != nil {
			t.Errorf("system identifier %s: %v", known, err)
		}
	}
}

func TestOnlyControllersAreHeard(t *testing.T) {
	t.Parallel()
	heard := 0
	self := &agentapi.Self{Node: 0, Heard: func() { heard++ }}
	socket, _ := served(t, newFake(t), self, nil)
	for _, e := range []*agentapi.Expect{nil, {Node: 0}, {Node: 0, Controller: true}} {
		if _, err := agentapi.DialUnix(socket, e).Inspect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if heard != 1 {
		t.Errorf("heard of a controller %d times, want 1", heard)
	}
}
