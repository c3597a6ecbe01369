package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/event"
)

// fakeController notes what it was asked, and answers with err.
type fakeController struct {
	mu      sync.Mutex
	calls   []string
	err     error
	status  Status
	events  []event.Event
	filter  event.Filter
	hold    HoldRequest
	recover func(ctx context.Context, say func(string)) error
}

func (c *fakeController) note(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf(format, args...))
	return c.err
}

func (c *fakeController) Status() Status     { return c.status }
func (c *fakeController) Look(reason string) { _ = c.note("look %s", reason) }
func (c *fakeController) Hold(_ context.Context, r HoldRequest) error {
	c.hold = r
	return c.note("hold %d", r.Node)
}
func (c *fakeController) Release(_ context.Context, n topology.NodeID, who string) error {
	return c.note("release %d %s", n, who)
}
func (c *fakeController) Resync(_ context.Context, r ResyncRequest) error {
	return c.note("resync %d %s %s", r.Node, r.Method, r.Who)
}
func (c *fakeController) Attach(_ context.Context, r NodeRequest) error {
	return c.note("attach %d %s", r.Node, r.Who)
}
func (c *fakeController) Detach(_ context.Context, r NodeRequest) error {
	return c.note("detach %d %s %q", r.Node, r.Who, r.Why)
}
func (c *fakeController) Checkpoint(_ context.Context, n topology.NodeID) error {
	return c.note("checkpoint %d", n)
}
func (c *fakeController) Recover(ctx context.Context, n topology.NodeID, say func(string)) error {
	if err := c.note("recover %d", n); err != nil || c.recover == nil {
		return err
	}
	return c.recover(ctx, say)
}
func (c *fakeController) History(_ context.Context, f event.Filter) ([]event.Event, error) {
	c.filter = f
	return c.events, c.note("history")
}

// served is a client of c over a real socket.
func served(t *testing.T, c Controller) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "repool.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, NewHandler(c))
}

func serveOn(t *testing.T, l net.Listener, h http.Handler) *Client {
	t.Helper()
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return NewClient(l.Addr().String())
}

func TestEveryRequestArrives(t *testing.T) {
	t.Parallel()
	f := &fakeController{}
	c := served(t, f)
	ctx := t.Context()
	until := time.Date(2026, 3, 1, 2, 3, 4, 5000, time.UTC)
	for _, err := range []error{
		c.Look(ctx, "failover"),
		c.Hold(ctx, HoldRequest{Node: 2, Who: "ann", Why: "new disk", Until: until}),
		c.Hold(ctx, HoldRequest{Node: topology.NoNode}),
		c.Release(ctx, 2, "ann"),
		c.Resync(ctx, 1),
		c.ResyncWith(ctx, ResyncRequest{Node: 0, Method: topology.MethodRewind, Who: "ann"}),
		c.Attach(ctx, NodeRequest{Node: 2, Who: "ann"}),
		c.Detach(ctx, NodeRequest{Node: 0, Who: "ann", Why: "new disk"}),
		c.Checkpoint(ctx, 1),
		c.Recover(ctx, 1, func(string) {}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"look failover", "hold 2", "hold -1", "release 2 ann", "resync 1  hook", "resync 0 rewind ann",
		"attach 2 ann", `detach 0 ann "new disk"`, "checkpoint 1", "recover 1"}
	if d := cmp.Diff(want, f.calls); d != "" {
		t.Error(d)
	}
}

func TestStatusAndHistoryArriveWhole(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 2, 3, 4, 567000, time.UTC)
	f := &fakeController{
		status: Status{At: at, Version: "1", PID: 7, Acting: true, Pass: 3, PassTook: time.Second,
			Snapshot: topology.Snapshot{Taken: at,
				Nodes: []topology.Node{{ID: 1, SQL: topology.SQLFacts{Replay: 0x16B374D848}}}},
			Decisions: []plan.Decision{{Node: 1, Action: plan.Attach, Code: codes.Ready, Upstream: 0}},
			Memory:    plan.Memory{Holds: []plan.Hold{{Node: 1, Why: "x"}}}},
		events: []event.Event{{ID: 1, At: at, Node: 1, Kind: "run", Code: "done", Text: "x",
			Data: json.RawMessage(`{"a":1}`)}},
	}
	c := served(t, f)
	st, err := c.Status(t.Context())
	// An unknown history equals none.
	sameHistory := cmp.Comparer(func(a, b topology.History) bool { return a.Text() == b.Text() })
	same := cmp.Comparer(func(a, b topology.Promotion) bool {
		return a.Node == b.Node && a.History.Text() == b.History.Text()
	})
	if d := cmp.Diff(f.status, st, sameHistory, same); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	node := topology.NodeID(0)
	filter := event.Filter{Node: &node, Kind: "run", Since: at, Limit: 5}
	ev, err := c.History(t.Context(), filter)
	if d := cmp.Diff(f.events, ev); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if d := cmp.Diff(filter, f.filter); d != "" {
		t.Errorf("the filter arrived as %s", d)
	}
}

func TestRefusalArrivesAsOne(t *testing.T) {
	t.Parallel()
	refusal := &RefusedError{Code: "on-hold", Msg: "node 1 is on hold", Hint: "repool release 1"}
	c := served(t, &fakeController{err: fmt.Errorf("recover: %w", refusal)})
	for name, err := range map[string]error{
		"hold":    c.Hold(t.Context(), HoldRequest{Node: 1}),
		"recover": c.Recover(t.Context(), 1, func(string) {}),
	} {
		var re *RefusedError
		if !errors.As(err, &re) || *re != *refusal || exit.Code(err) != exit.Refused {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestOtherErrorsAreNoRefusals(t *testing.T) {
	t.Parallel()
	c := served(t, &fakeController{err: errors.New("disk full")})
	for name, err := range map[string]error{
		"hold":    c.Hold(t.Context(), HoldRequest{Node: 1}),
		"recover": c.Recover(t.Context(), 1, func(string) {}),
	} {
		var re *RefusedError
		if err == nil || errors.As(err, &re) || !strings.Contains(err.Error(), "disk full") ||
			!strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestRecoverIsToldAsItGoes(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	f := &fakeController{recover: func(ctx context.Context, say func(string)) error {
		say("rewind")
		select { // the first line arrives before the recovery is over
		case <-told:
		case <-ctx.Done():
		}
		say(strings.Repeat("long ", 20000))
		return nil
	}}
	var lines []string
	err := served(t, f).Recover(t.Context(), 1, func(s string) {
		if lines = append(lines, s); len(lines) == 1 {
			close(told)
		}
	})
	if err != nil || len(lines) != 2 || lines[0] != "rewind" || len(lines[1]) != 100000 {
		t.Errorf("%v, %d lines", err, len(lines))
	}
}

// TestRecoverEndsWithItsCaller: who asked has gone, and the controller learns of it.
func TestRecoverEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	f := &fakeController{recover: func(ctx context.Context, say func(string)) error {
		say("begun")
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := served(t, f).Recover(ctx, 1, func(string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("recover: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the controller was not told that its caller has gone")
	}
}

func TestControllerDiesDuringRecover(t *testing.T) {
	t.Parallel()
	l, err := Listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	c := serveOn(t, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"say":"copying"}`+"\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	said := ""
	err = c.Recover(t.Context(), 1, func(s string) { said = s })
	if said != "copying" || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "lost the controller") {
		t.Errorf("said %q, %v", said, err)
	}
}

func TestNonsenseFromTheController(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"a web page":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"not found":   http.NotFound,
		"half a JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"pass":`) },
		"empty 409":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) },
		"cut off":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := Listen(filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			c := serveOn(t, l, h)
			_, serr := c.Status(t.Context())
			for what, err := range map[string]error{"status": serr, "recover": c.Recover(t.Context(), 1, func(string) {})} {
				var re *RefusedError
				if err == nil || errors.As(err, &re) || !strings.Contains(err.Error(), c.path) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestNonsenseFromTheClient(t *testing.T) {
	t.Parallel()
	f := &fakeController{}
	c := served(t, f)
	for name, r := range map[string]struct{ method, path, body string }{
		"no node":         {"POST", "/v1/hold", `{"who":"x"}`},
		"no node either":  {"POST", "/v1/recover", `{}`},
		"unknown field":   {"POST", "/v1/resync", `{"node":1,"force":true}`},
		"no JSON":         {"POST", "/v1/release", `node=1`},
		"nothing":         {"POST", "/v1/checkpoint", ``},
		"far too much":    {"POST", "/v1/look", `{"reason":"` + strings.Repeat("x", 100000) + `"}`},
		"bad limit":       {"GET", "/v1/history?limit=-1", ``},
		"bad node filter": {"GET", "/v1/history?node=one", ``},
		"bad time":        {"GET", "/v1/history?since=yesterday", ``},
	} {
		req, err := http.NewRequestWithContext(t.Context(), r.method, "http://controller"+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "bad request: ") {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	if len(f.calls) != 0 {
		t.Errorf("the controller was asked all the same: %v", f.calls)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for _, path := range []string{filepath.Join(dir, "missing"), dead} {
		_, serr := NewClient(path).Status(t.Context())
		for _, err := range []error{serr, NewClient(path).Recover(t.Context(), 1, func(string) {})} {
			if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if _, err := Listen(dead); err != nil {
		t.Errorf("a dead socket is in the way: %v", err)
	}
}

func TestSilentController(t *testing.T) {
	t.Parallel()
	l, err := Listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewClient(l.Addr().String()).Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("status: %v", err)
	}
}
