package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
)

// fakeNode is one server and its agent.
type fakeNode struct {
	facts Facts
	// down: connections are refused; silent: they hang till the deadline.
	down, silent bool
	why          error // of the refusal; nil: ECONNREFUSED
	// noAgent: nobody to ask; stuck: the agent answers, and cannot stop the server.
	noAgent, stuck bool
	// away: it and the fence asked of its agent hang until the hook gives up the
	// fence; then it serves again.
	away bool

	onFacts    func(*fakeNode)       // what happens right after an answer
	onPromote  func(*fakeNode) error // nil: as asked
	polls      int                   // questions until a promotion shows
	unanswered []error               // how the next questions for the timeline fail
	promoting  bool
	fenced     int
	onFence    func(*world) // what its last moments bring about
	slots      []string
	checked    bool
	told       topology.Instructions // that its agent keeps
}

// world is a pool without any process.
type world struct {
	mu    sync.Mutex
	nodes map[topology.NodeID]*fakeNode
	log   strings.Builder
	pokes int
	order []topology.NodeID // of promotions asked for
}

// history 2: timeline 1 was left at 0/3000000.
var line2 = topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x3000000}}}

func standby(pos topology.LSN) *fakeNode {
	return &fakeNode{facts: Facts{InRecovery: true, SystemID: 77, History: topology.History{TLI: 1}, Receive: pos,
		Replay: pos - 64}}
}

func primary() *fakeNode {
	return &fakeNode{facts: Facts{SystemID: 77, History: topology.History{TLI: 1}}}
}

func dead() *fakeNode { return &fakeNode{down: true} }

func newWorld(nodes ...*fakeNode) *world {
	w := &world{nodes: map[topology.NodeID]*fakeNode{}}
	for i, n := range nodes {
		w.nodes[topology.NodeID(i)] = n
	}
	return w
}

// deps wires a hook to the world, with a state directory of its own.
func (w *world) deps(t *testing.T) Deps {
	t.Helper()
	pool := &config.Pool{Controller: config.Controller{StateDir: t.TempDir()}}
	for id := range topology.NodeID(len(w.nodes)) {
		pool.Nodes = append(pool.Nodes, config.NodeConf{ID: id, Host: fmt.Sprintf("db%d", id), Port: 5432,
			Slot: topology.SlotName(id)})
	}
	return Deps{
		Pool: pool, Out: w, Dial: w.dial, Agent: w.agent, Control: w,
		Limits: Limits{Probe: 200 * time.Millisecond, Promote: 2 * time.Second, FenceDead: time.Second,
			FenceAlive: 2 * time.Second, Lock: 30 * time.Second},
	}
}

func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *world) dial(ctx context.Context, id topology.NodeID) (Server, error) {
	w.mu.Lock()
	n := w.nodes[id]
	down, silent, why := n.down, n.silent, n.why
	w.mu.Unlock()
	switch {
	case silent:
		<-ctx.Done()
		return nil, ctx.Err()
	case down && why != nil:
		return nil, why
	case down:
		return nil, fmt.Errorf("connect: %w", syscall.ECONNREFUSED)
	}
	return &fakeServer{w, id, n}, nil
}

type fakeServer struct {
	w  *world
	id topology.NodeID
	n  *fakeNode
}

var errGone = errors.New("server closed the connection unexpectedly")

func (s *fakeServer) ask() (*fakeNode, func(), error) {
	s.w.mu.Lock()
	if s.n.down {
		s.w.mu.Unlock()
		return nil, nil, errGone
	}
	return s.n, s.w.mu.Unlock, nil
}

func (s *fakeServer) Facts(context.Context) (Facts, error) {
	n, unlock, err := s.ask()
	if err != nil {
		return Facts{}, err
	}
	defer unlock()
	facts := n.facts
	if n.onFacts != nil {
		n.onFacts(n)
	}
	return facts, nil
}

func (s *fakeServer) Promote(context.Context) error {
	n, unlock, err := s.ask()
	if err != nil {
		return err
	}
	defer unlock()
	s.w.order = append(s.w.order, s.id)
	if n.onPromote != nil {
		return n.onPromote(n)
	}
	n.promoting = true
	return nil
}

func (s *fakeServer) Timeline(context.Context) (topology.TimelineID, error) {
	n, unlock, err := s.ask()
	if err != nil {
		return 0, err
	}
	defer unlock()
	if len(n.unanswered) > 0 {
		err, n.unanswered = n.unanswered[0], n.unanswered[1:]
		return 0, err
	}
	if n.promoting {
		if n.polls--; n.polls < 0 {
			h := n.facts.History
			n.facts.History = topology.History{TLI: h.TLI + 1,
				Ancestors: append(slices.Clone(h.Ancestors), topology.HistoryEntry{TLI: h.TLI, Switch: n.facts.Position()})}
			n.facts.InRecovery, n.promoting = false, false
		}
	}
	if n.facts.InRecovery {
		return 0, nil
	}
	return n.facts.History.TLI, nil
}

func (s *fakeServer) EnsureSlots(_ context.Context, names []string) error {
	n, unlock, err := s.ask()
	if err != nil {
		return err
	}
	defer unlock()
	n.slots = names
	return nil
}

func (s *fakeServer) Checkpoint(context.Context) error {
	n, unlock, err := s.ask()
	if err != nil {
		return err
	}
	defer unlock()
	n.checked = true
	return nil
}

func (s *fakeServer) Close() {}

func (w *world) agent(id topology.NodeID) (Fencer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nodes[id].noAgent {
		return nil, errors.New("no agent")
	}
	return fakeAgent{w, w.nodes[id]}, nil
}

type fakeAgent struct {
	w *world
	n *fakeNode
}

func (a fakeAgent) Instructions(context.Context) (topology.Instructions, error) { return a.n.told, nil }

func (a fakeAgent) Acquire(context.Context, string) (topology.Token, error) { return 9, nil }

func (a fakeAgent) Fence(ctx context.Context, token topology.Token) (topology.Fenced, error) {
	if a.n.away {
		<-ctx.Done()
		a.w.mu.Lock()
		defer a.w.mu.Unlock()
		a.n.silent = false
		return topology.Fenced{}, ctx.Err()
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if token != 9 {
		return topology.Fenced{}, errors.New("stale token")
	}
	if a.n.stuck {
		return topology.Fenced{}, errors.New("cannot be stopped")
	}
	a.n.fenced++
	was := !a.n.down
	a.n.down, a.n.silent, a.n.promoting = true, false, false
	if a.n.onFence != nil {
		a.n.onFence(a.w)
	}
	return topology.Fenced{WasRunning: was, Mode: "fast"}, nil
}

func (w *world) Look(context.Context, string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pokes++
	return nil
}
func (w *world) Recover(_ context.Context, _ topology.NodeID, say func(string)) error {
	say("half way")
	return nil
}
func (w *world) Resync(context.Context, topology.NodeID) error { return nil }

// Checkpoint is the controller's; it cannot, so that the hook must.
func (w *world) Checkpoint(context.Context, topology.NodeID) error { return errors.New("not now") }

// primaries lists the nodes that are up and not in recovery.
func (w *world) primaries() (ids []topology.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range topology.NodeID(len(w.nodes)) {
		if n := w.nodes[id]; !n.down && !n.facts.InRecovery {
			ids = append(ids, id)
		}
	}
	return ids
}
