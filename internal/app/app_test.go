package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
)

// patience bounds a wait in a test; nothing here takes long.
const patience = time.Minute

// configured is a pool of one node, of which nothing is there, in dir.
func configured(t *testing.T, dir string) *config.Pool {
	t.Helper()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pass := write("pcppass", "127.0.0.1:*:repool:secret\n")
	conf := write("pgpool.conf", "backend_clustering_mode = 'streaming_replication'\npcp_port = 9898\n"+
		"backend_hostname0 = '127.0.0.1'\nbackend_port0 = 5432\nbackend_data_directory0 = '"+dir+"/node0'\n")
	yaml := write("repool.yaml", "pgpool:\n  conf: "+conf+"\n  pcp: {host: 127.0.0.1, user: repool, passfile: "+pass+"}\n"+
		"controller: {state_dir: "+dir+"/state, socket: "+dir+"/r.sock}\n")
	l, err := config.LoadOrDefault(yaml, true, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	p.PCP.Port, p.Nodes[0].Port = 1, 1 // nobody listens there
	p.Controller.Listen = "127.0.0.1:0"
	return p
}

func options(t *testing.T, p *config.Pool) Options {
	t.Helper()
	return Options{Pool: p, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), HookOut: t.Output()}
}

// soon waits until done says so.
func soon(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-limit:
			all := make([]byte, 1<<20)
			t.Fatalf("%s: not within %s\n%s", what, patience, all[:runtime.Stack(all, true)])
		case <-tick.C:
		}
	}
}

// nothingLeft fails t when it ends with more goroutines than there are now. Only
// for tests that are not parallel.
func nothingLeft(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() { soon(t, "every goroutine ends", func() bool { return runtime.NumGoroutine() <= before }) })
}

// running runs f until the test calls stop, which returns its error.
func running(t *testing.T, f func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	return func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("Run does not return")
		}
	}
}

func TestAppStartsAndStopsTwice(t *testing.T) {
	nothingLeft(t)
	p := configured(t, t.TempDir())
	for range 2 {
		a, err := New(t.Context(), options(t, p))
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, a.Run)
		client := control.NewClient(p.Controller.Socket)
		soon(t, "the controller looks at the pool", func() bool {
			st, err := client.Status(t.Context())
			return err == nil && len(st.Decisions) == 1 && st.Version == Version
		})
		if _, err := New(t.Context(), options(t, p)); exit.Code(err) != exit.Refused {
			t.Errorf("a second one with the same state directory: %v", err)
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		for range 2 {
			if err := a.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if _, err := os.Stat(p.Controller.Socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	}
}

func TestAppIsClosedWithoutRun(t *testing.T) {
	nothingLeft(t)
	p := configured(t, t.TempDir())
	for range 2 { // the second finds state directory and socket free
		a, err := New(t.Context(), options(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNewUndoesWhatItHasDone(t *testing.T) {
	nothingLeft(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, spoil := range map[string]func(p *config.Pool){
		"no password for PCP":                    func(p *config.Pool) { p.PCP.Passfile = "/nowhere" },
		"no way to the agent":                    func(p *config.Pool) { p.Nodes[0].Agent.Kind = "" },
		"an endpoint for traces that is not one": func(p *config.Pool) { p.Tracing.Endpoint = "::" },
		"a file in the socket's way":             func(p *config.Pool) { p.Controller.Socket = p.File },
		"the web's address is taken":             func(p *config.Pool) { p.Controller.Listen = taken.Addr().String() },
	} {
		p := configured(t, t.TempDir())
		bad := *p
		bad.Nodes = append([]config.NodeConf(nil), p.Nodes...)
		spoil(&bad)
		if _, err := New(t.Context(), options(t, &bad)); exit.Code(err) != exit.Usage {
			t.Errorf("%s: %v", name, err)
		}
		a, err := New(t.Context(), options(t, p))
		if err != nil {
			t.Errorf("%s, then without it: %v", name, err)
			continue
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRunEndsWithAPartThatFails(t *testing.T) {
	nothingLeft(t)
	p := configured(t, t.TempDir())
	a, err := New(t.Context(), options(t, p))
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("the network is gone")
	a.servers = append(a.servers, &server{http: &http.Server{}, begin: func() error { return lost }})
	if err := a.Run(t.Context()); !errors.Is(err, lost) {
		t.Errorf("Run: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestAgentStartsAndStopsTwice(t *testing.T) {
	nothingLeft(t)
	dir := t.TempDir()
	p := configured(t, dir)
	socket := filepath.Join(dir, "agent.sock")
	p.Nodes[0].Agent = config.Agent{Kind: config.AgentUnix, Path: socket}
	o := AgentOptions{Pool: p, Node: 0, Socket: socket, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for range 2 {
		a, err := NewAgent(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, a.Run)
		soon(t, "the agent answers", func() bool {
			is, err := Inspect(t.Context(), p, &p.Nodes[0])
			return err == nil && is.Dir == topology.DirMissing
		})
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		for range 2 {
			if err := a.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
}
