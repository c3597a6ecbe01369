package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// Observer gathers snapshots.
type Observer interface {
	// Observe returns what is known now; it may join queries already in flight.
	Observe(ctx context.Context) topology.Snapshot
	// ObserveFresh returns only answers to queries sent after the call began.
	ObserveFresh(ctx context.Context) topology.Snapshot
}

// Pool changes what one Pgpool-II routes to. Both calls return when Pgpool-II
// has queued the request; success shows in a later snapshot.
type Pool interface {
	Endpoint() string
	Attach(ctx context.Context, node topology.NodeID) error
	Detach(ctx context.Context, node topology.NodeID) error
}

// Unfinished resumes promotions that a killed hook left behind.
type Unfinished interface {
	// Pending is cheap: whether there may be something to resume.
	Pending() bool
	// Resume finishes what is pending, and says how each of those ended.
	Resume(ctx context.Context) ([]FinishedHook, error)
}

// FinishedHook is how an event that a hook left behind has ended, with the hook's code.
type FinishedHook struct {
	Node       topology.NodeID
	Code, Text string
}

// Store is the controller's memory on disk; history.Store is the real one.
type Store interface {
	// Add appends one event. The newest may be lost in a power failure.
	Add(ctx context.Context, e event.Event) error
	// List returns the newest events that match, oldest first.
	List(ctx context.Context, f event.Filter) ([]event.Event, error)
	// Keep stores a named value as JSON; on return it survives a power failure.
	// Kept reads it back.
	Keep(ctx context.Context, name string, value any) error
	Kept(ctx context.Context, name string, value any) (found bool, err error)
	// Prune removes events before that time, and the oldest of those past most.
	Prune(ctx context.Context, before time.Time, most int) error
	// SetAside starts over without the kept value of that name, since that one
	// cannot be used (event.ErrGarbled). Asides lists each time this was done.
	SetAside(ctx context.Context, why error, without string) error
	Asides() []event.Aside
}

// Audience is told what the controller sees and does, as it happens, in whichever
// goroutine it happens. Its methods must return at once: healing waits for them.
type Audience interface {
	// Passed is called after each pass with what was published.
	Passed(st control.Status)
	// Happened is called with each event of the history.
	Happened(e event.Event)
	// RunEnded is called once for each run whose end is known.
	RunEnded(r topology.RunState)
}

// Options wire a Controller. All but Holds, Unfinished, Audience, NotePrimary and
// Checkpoint are required.
type Options struct {
	Observer Observer
	Pools    []Pool // in the order of the snapshot's Pools
	// Agents are those of every node in pgpool.conf, through which it is changed.
	// nil: the node's agent cannot be reached.
	Agents map[topology.NodeID]agentapi.Agent
	Policy plan.Policy
	Store  Store
	// Holds is a second copy of the holds, so that they outlive the Store. May be nil.
	Holds      Copy
	Log        *slog.Logger
	Interval   time.Duration // between passes when nothing is under way
	Version    string
	Unfinished Unfinished
	Audience   []Audience
	// NotePrimary keeps the one unambiguous primary, seen at that time, for the
	// failover hook, with its synchronous standbys; called when any of it has changed.
	// May be nil.
	NotePrimary func(last topology.Promotion, at time.Time) error
	// NotePosition has NotePrimary keep also how far the primary's WAL goes, and so
	// called in each pass in which something was written.
	NotePosition bool
	// Checkpoint runs a checkpoint on a node and returns when it is done.
	Checkpoint func(ctx context.Context, node topology.NodeID) error
}

// Controller puts the parts together and takes requests. Create it with New and
// call Run once; every other method may be called from any goroutine at any time.
type Controller struct {
	o      *Options
	memory *memory
	ledger *ledger
	rec    *recorder
	exec   *executor
	loop   *loop
	// telling is held while agents are told something about the whole pool.
	telling sync.Mutex
}

// New makes a controller and loads what it must remember. ctx bounds its life.
func New(ctx context.Context, opts Options) (*Controller, error) {
	o := &opts
	c := &Controller{o: o, memory: &memory{}, ledger: newLedger()}
	o.Observer = &recoveryAware{Observer: opts.Observer, ledger: c.ledger}
	life, end := context.WithCancel(ctx)
	c.rec = newRecorder(life, o, c.memory)
	c.exec = &executor{o: o, memory: c.memory, ledger: c.ledger, rec: c.rec, life: life, end: end}
	err := c.rec.load(ctx)
	if err == nil {
		c.exec.holder, err = holderName(ctx, o.Store)
	}
	if err == nil {
		err = c.exec.recallRuns(ctx)
	}
	if err != nil {
		end()
		return nil, err
	}
	c.loop = newLoop(o, c.memory, c.exec, c.rec)
	c.exec.look = c.loop.ask
	return c, nil
}

// holderName is the name under which this controller locks nodes. It belongs to
// the state directory, which one process uses at a time, and not to the process:
// after a restart the controller must be able to take its own runs over.
func holderName(ctx context.Context, s Store) (string, error) {
	const kept = "controller-id"
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var id string
	found, err := s.Kept(ctx, kept, &id)
	if err != nil && !errors.Is(err, event.ErrGarbled) {
		return "", fmt.Errorf("load the controller's name: %w", err)
	}
	if !found || id == "" {
		id = strings.ToLower(rand.Text()[:8])
		if err := s.Keep(ctx, kept, id); err != nil {
			return "", fmt.Errorf("choose the controller's name: %w", err)
		}
	}
	return host + "/" + id, nil
}

// Run passes until ctx is done, then waits for the orders under way to return.
// Runs on the nodes belong to their agents and go on.
func (c *Controller) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.exec.end)()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.rec.write()
	}()
	c.rec.started("controller started, version " + c.o.Version)
	c.loop.run(ctx)
	c.exec.stop()
	c.rec.record(event.Event{Node: topology.NoNode, Kind: "controller", Code: "stopped", Text: "controller stopped"})
	close(c.rec.quit)
	<-written
	return nil
}

// Look asks for a pass now; it never blocks.
func (c *Controller) Look(reason string) { c.loop.ask(reason) }

// Status is the newest published state.
func (c *Controller) Status() control.Status { return *c.loop.status.Load() }

// History reads events, including those of this moment.
func (c *Controller) History(ctx context.Context, f event.Filter) ([]event.Event, error) {
	return c.rec.history(ctx, f)
}
