package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/history"
	"github.com/repool/repool/test/fakes/agentapitest"
	"github.com/repool/repool/test/fakes/virtual"
)

// world is a pool in memory: node 0 is the primary on timeline 2, nodes 1 and
// 2 stream from it. It is the Observer of a controller under test.
type world struct {
	t     *testing.T
	dir   string
	store *history.Store
	opts  Options

	mu     sync.Mutex
	nodes  []topology.Node
	pools  []*fakePool
	agents []*agentapitest.Fake
	passes int
	fresh  int
	// promoted is the failover hook's record.
	promoted topology.Promotion
	// failoverTrouble is why Pgpool-II cannot run its failover command.
	failoverTrouble string
	// onFresh is called before each look that clears a step.
	onFresh func(*world)
	trace   []string
}

var line2 = topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x5000000}}}

const interval = time.Second

// inWorld runs a test in a bubble with a healthy pool of that many Pgpool-IIs.
func inWorld(t *testing.T, pools int, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, pools)
		defer func() {
			for _, a := range w.agents {
				a.Close()
			}
			if err := w.store.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, w)
	})
}

func newWorld(t *testing.T, dir string, pools int) *world {
	t.Helper()
	w := &world{t: t, dir: dir}
	w.reopen()
	for i := range 3 {
		id := topology.NodeID(i)
		w.nodes = append(w.nodes, topology.Node{ID: id, Host: "h", Port: 5000 + i})
		a := &agentapitest.Fake{Node: id, State: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerRunning,
			Version: 15,
			Control: &topology.Control{SystemID: 42, Checksums: true, Timeline: 2}, History: line2, FreeBytes: 100 << 30}}
		a.OnDone = func(topology.RunRequest) { w.change(func() { w.streams(i) }) }
		w.agents = append(w.agents, a)
		w.streams(i)
	}
	w.nodes[0].SQL = topology.SQLFacts{SystemID: 42, Version: 150000, Timeline: 2, Current: 0x6000000,
		DatabaseBytes: 1 << 30}
	w.agents[0].State.StandbySignal, w.agents[0].State.UpstreamPort = false, 0
	w.nodes[0].Lineage = topology.Lineage{}
	for i := range pools {
		p := &fakePool{w: w, name: fmt.Sprintf("pool%d", i)}
		for id := range topology.NodeID(3) {
			p.view.Nodes = append(p.view.Nodes, topology.PoolNode{ID: id, Status: topology.PoolUp, Role: "standby"})
		}
		w.pools = append(w.pools, p)
	}
	w.opts = Options{Observer: w, Policy: plan.DefaultPolicy(), Log: slog.New(slog.DiscardHandler), Interval: interval,
		Version: "test",
		Holds:   history.CopyAt(dir, history.HoldsFile), Agents: map[topology.NodeID]agentapi.Agent{}}
	for i, a := range w.agents {
		w.opts.Agents[topology.NodeID(i)] = a
	}
	for _, p := range w.pools {
		w.opts.Pools = append(w.opts.Pools, p)
	}
	return w
}

// reopen opens the state directory, as a new process does.
func (w *world) reopen() {
	w.t.Helper()
	s, err := history.Open(w.t.Context(), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = s
}

// run starts a controller. stop ends it and waits.
func (w *world) run() (c *Controller, stop func()) {
	w.t.Helper()
	return w.runOn(w.store)
}

// runOn is run with another store.
func (w *world) runOn(s Store) (c *Controller, stop func()) {
	w.t.Helper()
	w.opts.Store = s
	return w.runWith(w.opts)
}

// runWith runs a controller with options of its own.
func (w *world) runWith(o Options) (c *Controller, stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	c, err := New(ctx, o)
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
		w.t.Helper()
		cancel()
		begun := time.Now()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		if d := time.Since(begun); d > 5*time.Second {
			w.t.Errorf("the controller needed %s to stop", d)
		}
	}
}

// pass lets time go by, and then everything come to rest.
func (w *world) pass(d time.Duration) {
	virtual.Sleep(d)
	synctest.Wait()
}

// change changes the world.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// seen is how many passes there were.
func (w *world) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passes
}

// note adds to what was done to the world, in order.
func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// done is what was asked of Pgpool-II so far.
func (w *world) done() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.trace, ", ")
}

func (w *world) wantDone(want string) {
	w.t.Helper()
	if got := w.done(); got != want {
		w.t.Errorf("asked of Pgpool-II: %q, want %q", got, want)
	}
}

func (w *world) wantCalls(node int, want string) {
	w.t.Helper()
	if got := strings.Join(w.agents[node].Calls(), ", "); got != want {
		w.t.Errorf("asked of agent %d: %q, want %q", node, got, want)
	}
}

// streams makes node i a standby that streams from the primary, proven.
func (w *world) streams(i int) {
	n := &w.nodes[i]
	n.SQL = topology.SQLFacts{InRecovery: true, SystemID: 42, Version: 150000, Timeline: 2, Replay: 0x6000000,
		Receive:  0x6000000,
		Receiver: topology.WALReceiver{Status: "streaming", SenderHost: "h", SenderPort: 5000, Timeline: 2}}
	n.Lineage = topology.Lineage{Verdict: topology.LineageOnLine, Primary: 0, TLI: 2, Point: 0x6000000}
	w.agents[i].Change(func(f *agentapitest.Fake) {
		f.State.Server, f.State.StandbySignal = topology.ServerRunning, true
		f.State.UpstreamHost, f.State.UpstreamPort, f.State.UpstreamSlot = "h", 5000, fmt.Sprintf("repool_node%d", i)
	})
}

// dies stops node i's server, and Pgpool-II notices.
func (w *world) dies(i int) {
	w.nodes[i].SQL = topology.SQLFacts{Source: topology.Source{Err: "connection refused"}, Refused: true}
	w.agents[i].Change(func(f *agentapitest.Fake) { f.State.Server = topology.ServerStopped })
	for _, p := range w.pools {
		p.set(i, topology.PoolDown)
	}
}

// diverged makes node i a dead old primary with WAL of its own.
func (w *world) diverged(i int) {
	w.dies(i)
	w.agents[i].Change(func(f *agentapitest.Fake) { f.State.StandbySignal = false })
	w.nodes[i].Lineage = topology.Lineage{Verdict: topology.LineageDiverged, Primary: 0, TLI: 1, Point: 0x5000000,
		OwnBytes: 100, RewindWAL: true}
}

// Observe is the world as it is.
func (w *world) Observe(ctx context.Context) topology.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passes++
	return w.snapshot(ctx)
}

// ObserveFresh is the same, for a step that waits to be cleared.
func (w *world) ObserveFresh(ctx context.Context) topology.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fresh++
	if w.onFresh != nil {
		w.onFresh(w)
	}
	return w.snapshot(ctx)
}

func (w *world) snapshot(ctx context.Context) topology.Snapshot {
	now := topology.Source{At: time.Now()}
	fresh := func(s topology.Source) topology.Source { return topology.Source{At: now.At, Err: s.Err} }
	snap := topology.Snapshot{Taken: now.At, Nodes: slices.Clone(w.nodes), Promoted: w.promoted,
		FailoverTrouble: w.failoverTrouble}
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		n.SQL.Source = fresh(n.SQL.Source)
		if n.Lineage.Verdict != topology.LineageUnknown {
			n.Lineage.Source = now
		}
		ins, err := w.agents[i].Inspect(ctx)
		n.Agent, n.Agent.Source = ins, now
		if err != nil {
			n.Agent.Err = err.Error()
		}
	}
	for _, p := range w.pools {
		v := p.view
		v.Source, v.Endpoint, v.Nodes = fresh(v.Source), p.name, slices.Clone(v.Nodes)
		snap.Pools = append(snap.Pools, v)
	}
	return snap
}

// fakePool is a Pgpool-II that does what it is asked.
type fakePool struct {
	w    *world
	name string
	view topology.PoolView
	// takes is how long a request takes; refuses is its error, unresponsive: it answers
	// and does nothing.
	takes        time.Duration
	refuses      error
	unresponsive bool
	open         int
}

func (p *fakePool) Endpoint() string { return p.name }

func (p *fakePool) set(node int, s topology.PoolStatus) { p.view.Nodes[node].Status = s }

func (p *fakePool) Attach(ctx context.Context, n topology.NodeID) error {
	return p.ask(ctx, "attach", int(n), topology.PoolWaiting)
}

func (p *fakePool) Detach(ctx context.Context, n topology.NodeID) error {
	return p.ask(ctx, "detach", int(n), topology.PoolDown)
}

func (p *fakePool) ask(ctx context.Context, what string, node int, to topology.PoolStatus) error {
	p.w.change(func() {
		p.w.note("%s %d on %s", what, node, p.name)
		if p.open++; p.open > 1 {
			p.w.t.Errorf("%s: two requests at once", p.name)
		}
	})
	defer p.w.change(func() { p.open-- })
	if p.takes > 0 {
		select {
		case <-time.After(p.takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if p.refuses != nil {
		return p.refuses
	}
	p.w.change(func() {
		if !p.unresponsive {
			p.set(node, to)
		}
		// As Pgpool-II does: a search for the primary after each change.
		if p.view.Primary == topology.NoNode {
			p.view.Primary = 0
		}
	})
	return nil
}

var errNoRoute = errors.New("no route to host")

// events lists what the history has of one kind, as "code node".
func (w *world) events(kind string) []event.Event {
	w.t.Helper()
	ev, err := w.store.List(w.t.Context(), event.Filter{Kind: kind, Limit: event.MaxLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	return ev
}

func codesOf(events []event.Event) string {
	var out []string
	for _, e := range events {
		out = append(out, e.Code)
	}
	return strings.Join(out, " ")
}
