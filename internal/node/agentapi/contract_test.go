package agentapi_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/test/fakes/agentapitest"
	"github.com/repool/repool/test/fakes/fakehost"
)

// newFake is a fake whose server runs on diverged data.
func newFake(*testing.T) agentapi.Agent {
	return &agentapitest.Fake{
		State: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerRunning},
		Probe: topology.WALProbe{Shared: true, Beyond: true, CommonTLI: 1, Limit: 0x5000000, Own: topology.History{TLI: 1}},
	}
}

// newReal is the real agent over a world in memory.
func newReal(t *testing.T) agentapi.Agent {
	w := fakehost.NewSolo(fakehost.CrashedPrimary(true))
	w.OutsideStart()
	a, err := agent.New(agent.Options{WorkDir: filepath.Join(t.TempDir(), "data.repool"), Host: w,
		Upstream: w.Link(), Version: "test", Points: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		for _, v := range w.Broken() {
			t.Error(v)
		}
	})
	return a
}

// overSocket serves a on a unix socket and reaches it through that.
func overSocket(t *testing.T, a agentapi.Agent) agentapi.Agent {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.sock")
	mux := http.NewServeMux()
	mux.Handle(agentapi.NewHandler(a, nil))
	serve(t, path, mux)
	return agentapi.DialUnix(path, nil)
}

// serve serves h at path until the test's end.
func serve(t *testing.T, path string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(*testing.T) agentapi.Agent{
		"fake":                   newFake,
		"fake over a socket":     func(t *testing.T) agentapi.Agent { return overSocket(t, newFake(t)) },
		"agent":                  newReal,
		"agent over a socket":    func(t *testing.T) agentapi.Agent { return overSocket(t, newReal(t)) },
		"agent over two of them": func(t *testing.T) agentapi.Agent { return overSocket(t, overSocket(t, newReal(t))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agentapitest.RunContract(t, fresh)
		})
	}
}

// calls are the contract's calls, of which only the error is of interest.
func calls(ctx context.Context, a agentapi.Agent) map[string]error {
	out := map[string]error{}
	_, out["Inspect"] = a.Inspect(ctx)
	_, out["ProbeWAL"] = a.ProbeWAL(ctx, topology.History{TLI: 1})
	_, out["RecordEnding"] = a.RecordEnding(ctx, 0x1000)
	_, out["Run"] = a.Run(ctx, "x")
	_, out["Vault"] = a.Vault(ctx)
	_, out["VaultReport"] = a.VaultReport(ctx, "x")
	_, out["Acquire"] = a.Acquire(ctx, "x")
	out["StartRun"] = a.StartRun(ctx, topology.RunRequest{ID: "x"})
	out["Watch"] = a.Watch(ctx, "x", func(topology.RunState) {})
	out["Clear"] = a.Clear(ctx, 1, "x", "y")
	out["Cancel"] = a.Cancel(ctx, 1, "x")
	_, out["Fence"] = a.Fence(ctx, 1)
	return out
}

// failing answers every call with one error.
func failing(err error) *agentapitest.Fake {
	return &agentapitest.Fake{Fail: func(string) error { return err }}
}

func TestErrorsKeepTheirIdentityOnTheWire(t *testing.T) {
	t.Parallel()
	kinds := []error{agentapi.ErrLocked, agentapi.ErrStaleToken, agentapi.ErrNoWAL, agentapi.ErrNoRun,
		agentapi.ErrRefused, context.Canceled, context.DeadlineExceeded}
	for _, sent := range append(kinds, errors.New("disk on fire"), errors.Join(agentapi.ErrNoRun, agentapi.ErrRefused)) {
		a := overSocket(t, failing(fmt.Errorf("node 3: caf\xe9 and\nmore: %w", sent)))
		for call, got := range calls(t.Context(), a) {
			for _, kind := range kinds {
				if errors.Is(got, kind) != errors.Is(sent, kind) {
					t.Errorf("%s: sent %v, got %v: is %q is %v", call, sent, got, kind, errors.Is(got, kind))
				}
			}
			if got == nil || !strings.Contains(got.Error(), "node 3") || !strings.Contains(got.Error(), "more") {
				t.Errorf("%s: the text is lost: %v", call, got)
			}
		}
	}
}

func TestPeerThatSendsAnInvalidResponse(t *testing.T) {
	t.Parallel()
	raw := func(answer string) func(*testing.T, string) {
		return func(t *testing.T, path string) { serveRaw(t, path, answer) }
	}
	body := func(kind, text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.Header().Set("Repool-Protocol", fmt.Sprint(agentapi.Protocol))
				_, _ = w.Write([]byte(text))
			}))
		}
	}
	const unary, stream = "application/json", "application/connect+json"
	for name, peer := range map[string]func(*testing.T, string){
		"a web page":     body("text/html", "<html>it works</html>"),
		"no message":     body(unary, ""),
		"null":           body(unary, "null"),
		"a list":         body(unary, "[{}]"),
		"half a message": body(unary, `{"at":`),
		"two messages":   body(unary, "{}{}"),
		"values of other kinds": body(unary,
			`{"at":1,"own":2,"start":3,"id":4,"entries":5,"report":6,"token":"7","took":"8"} 9`),
		"a stream of no messages": body(stream, "\x00\xff\xff\xff\xff"),
		"a stream of null":        body(stream, "\x00\x00\x00\x00\x04null"),
		"another protocol":        raw("E\x00\x00\x00\x10FATAL: no\x00"),
		"nothing at all":          raw(""),
		"half a header":           raw("HTTP/1.1 200 OK\r\nContent-Le"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "peer.sock")
			peer(t, path)
			for call, err := range calls(t.Context(), agentapi.DialUnix(path, nil)) {
				if err == nil {
					t.Errorf("%s: taken for an answer", call)
				} else if !strings.Contains(err.Error(), path) || errors.Is(err, agentapi.ErrRefused) {
					t.Errorf("%s: the error does not say who: %v", call, err)
				}
			}
		})
	}
}

// TestRequestThatIsTooLarge is refused without being read to its end.
func TestRequestThatIsTooLarge(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	long := strings.Repeat("x", 5<<20)
	_, err := overSocket(t, fake).Acquire(t.Context(), long)
	if err == nil || !strings.Contains(err.Error(), "larger than configured max") {
		t.Errorf("got %v", err)
	}
	if token, err := fake.Acquire(t.Context(), "x"); err != nil || token != 1 {
		t.Errorf("the agent saw the request: its next token is %d, %v", token, err)
	}
}

// serveRaw answers each connection with the same bytes and closes it.
func serveRaw(t *testing.T, path, answer string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.sock")
	for call, err := range calls(t.Context(), agentapi.DialUnix(path, nil)) {
		if err == nil || !strings.HasSuffix(err.Error(), path+": no answer: there is no such socket") {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// TestWatchOfAnAgentThatDies: the stream breaks, which is not the end of the run.
func TestWatchOfAnAgentThatDies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.sock")
	f := &agentapitest.Fake{StepTime: time.Hour}
	f.Adopt("somebody", agentapitest.Request("a-run", 1))
	mux := http.NewServeMux()
	mux.Handle(agentapi.NewHandler(f, nil))
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }()
	seen := 0
	err = agentapi.DialUnix(path, nil).Watch(t.Context(), "a-run", func(topology.RunState) {
		if seen++; seen == 1 {
			_ = srv.Close()
		}
	})
	if err == nil || seen == 0 {
		t.Errorf("the watch ended with %v after %d states", err, seen)
	}
}
