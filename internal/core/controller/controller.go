package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// Observer gathers snapshots.
type Observer interface {
	// Observe gives what is known now; it may join questions already open.
	Observe(ctx context.Context) topology.Snapshot
	// ObserveAnew gives only what was asked for after the call began.
	ObserveAnew(ctx context.Context) topology.Snapshot
}

// Pool changes what one Pgpool-II routes to. Both calls return when Pgpool-II
// has queued the request; success shows in a later snapshot.
type Pool interface {
	Endpoint() string
	Attach(ctx context.Context, node topology.NodeID) error
	Detach(ctx context.Context, node topology.NodeID) error
}

// Unfinished takes up promotions that a killed hook left behind.
type Unfinished interface {
	// Pending is cheap: whether there may be something to take up.
	Pending() bool
	// Resume finishes what is pending; n is how many were found.
	Resume(ctx context.Context) (n int, err error)
}

// Store is the controller's memory on disk; history.Store is the real one.
type Store interface {
	// Add appends one event. The newest may be lost with the host's power.
	Add(ctx context.Context, e event.Event) error
	// List gives the newest events that match, oldest first.
	List(ctx context.Context, f event.Filter) ([]event.Event, error)
	// Keep stores a named value as JSON; on return it survives a power cut. Kept
	// reads it back.
	Keep(ctx context.Context, name string, value any) error
	Kept(ctx context.Context, name string, value any) (found bool, err error)
	// Prune removes events before that time, and the oldest of those past most.
	Prune(ctx context.Context, before time.Time, most int) error
	// SetAside begins anew, without the kept value of that name, since that is
	// what cannot be used (event.ErrGarbled). Asides tells of each time so far.
	SetAside(ctx context.Context, why error, without string) error
	Asides() []event.Aside
}

// Audience hears of what the controller sees and does, as it happens, and in
// whichever goroutine it happens. Its methods must return at once: the healing
// waits for them.
type Audience interface {
	// Passed is called after each pass with what was published.
	Passed(st control.Status)
	// Happened is called with each event of the history.
	Happened(e event.Event)
	// RunEnded is called for each run that was followed to its end.
	RunEnded(r topology.RunState)
}

// Options wire a Controller. All but Holds, Unfinished, Audience, NotePrimary and
// Checkpoint are needed.
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
	// failover hook; called when it has changed. May be nil.
	NotePrimary func(node topology.NodeID, system topology.SystemID, h topology.History, at time.Time) error
	// Checkpoint runs a checkpoint on a node and returns when it is done.
	Checkpoint func(ctx context.Context, node topology.NodeID) error
}

const (
	// busyInterval is the pace while something is under way.
	busyInterval = 150 * time.Millisecond
	// busyFor is how long after the last change of a decision that pace is kept.
	busyFor = 15 * time.Second
	// passGap is the least time between two passes, however often somebody asks
	// for one: Pgpool-II logs each PCP connection.
	passGap = 50 * time.Millisecond
)

// Controller is the loop. Create it with New, run it with Run, once.
type Controller struct {
	o       Options
	holder  string
	started time.Time
	look    chan string
	status  atomic.Pointer[control.Status]
	keeper  keeper
	acts    sync.WaitGroup
	// life ends with Run; it is the context of all that goes on beside the loop.
	life context.Context
	end  context.CancelFunc
	// found is what New has to tell once the controller runs.
	found []event.Event

	mu       sync.Mutex // guards what follows
	mem      plan.Memory
	stopping bool
	busy     map[slot]string
	changed  time.Time // when a decision last changed
	// cancelled is the run of each node whose cancel was asked for last; tokens
	// are of the runs that we lead.
	cancelled map[topology.NodeID]string
	tokens    map[string]topology.Token
	recovers  map[topology.NodeID]recovery
	said      map[topology.NodeID]string // the decision last recorded in the history
	warned    map[string]string          // trouble last logged, by what it is about
	noStart   map[topology.NodeID]noStart
	// passedBy are runs not to be taken up before a time: they are under another
	// controller's token, or have just ended and older facts still show them.
	passedBy map[string]time.Time
	// open are the runs whose end is to come, with their nodes.
	open map[string]topology.NodeID
	// checkpoints under way; true: asked for once more meanwhile.
	checkpoints map[topology.NodeID]bool
	pass        uint64
	noted       string // the primary last given to NotePrimary
	hooksAt     time.Time
	pruneAt     time.Time
}

// New makes a controller and loads what it must remember. ctx bounds its life.
func New(ctx context.Context, o Options) (*Controller, error) {
	c := &Controller{o: o, started: time.Now(), look: make(chan string, 1), keeper: newKeeper(),
		busy: map[slot]string{}, cancelled: map[topology.NodeID]string{}, tokens: map[string]topology.Token{}, recovers: map[topology.NodeID]recovery{}, said: map[topology.NodeID]string{},
		warned: map[string]string{}, noStart: map[topology.NodeID]noStart{}, passedBy: map[string]time.Time{}, open: map[string]topology.NodeID{},
		checkpoints: map[topology.NodeID]bool{}}
	if err := c.recall(ctx); err != nil {
		return nil, err
	}
	var err error
	if c.holder, err = holderName(ctx, o.Store); err != nil {
		return nil, err
	}
	if err := c.recallRuns(ctx); err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(ctx)
	c.status.Store(&control.Status{At: c.started, Started: c.started, Version: o.Version, PID: os.Getpid(), Why: "starting", Memory: c.mem})
	return c, nil
}

// holderName is the name under which this controller holds nodes. It is that of
// the state directory, of which there is one process at a time, and not the
// process's: after a restart the controller must be let in to its own runs.
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

// Run passes until ctx is done, then waits for the acts under way to return.
// Runs on the nodes belong to their agents and go on.
func (c *Controller) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.end)()
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		c.keep()
	}()
	c.record(event.Event{Node: topology.NoNode, Kind: "controller", Code: "started", Text: "controller started, version " + c.o.Version})
	for _, e := range c.found {
		c.record(e)
	}
	c.loop(ctx)
	c.end()
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	c.acts.Wait()
	c.record(event.Event{Node: topology.NoNode, Kind: "controller", Code: "stopped", Text: "controller stopped"})
	close(c.keeper.quit)
	<-kept
	return nil
}

func (c *Controller) loop(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-gap.C:
		}
		reason := "interval"
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			select {
			case reason = <-c.look: // this pass is the one that was asked for
			default:
			}
		case reason = <-c.look:
		}
		busy := c.onePass(ctx, reason)
		pause := c.pace(busy)
		if c.promoting() {
			pause = passGap
		}
		next.Reset(pause)
		gap.Reset(passGap)
	}
}

// pace is quick while something is under way and lately changed. What has stood
// still for a while (a replay of hours, a backoff, a frozen node) does not need
// a look seven times a second; hooks and runs still make a pass come at once.
func (c *Controller) pace(busy bool) time.Duration {
	if busy && c.lately() {
		return min(busyInterval, c.o.Interval)
	}
	return c.o.Interval
}

// lately says that a decision changed not long ago.
func (c *Controller) lately() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.changed) < busyFor
}

// promoting says that a node accepts writes and its new timeline's history is
// not on disk yet: a matter of milliseconds, for which every other node waits.
func (c *Controller) promoting() bool {
	st := c.status.Load()
	return st != nil && slices.ContainsFunc(st.Decisions, func(d plan.Decision) bool { return d.Code == plan.CodePrimaryHistoryUnknown }) && c.lately()
}

// Look asks for a pass now; it never blocks.
func (c *Controller) Look(reason string) {
	select {
	case c.look <- reason:
	default: // one is waiting already, and it will see the same world
	}
}

// Status is the newest published state.
func (c *Controller) Status() control.Status { return *c.status.Load() }

// begin runs f beside the loop, unless the controller is stopping.
func (c *Controller) begin(f func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return false
	}
	c.acts.Go(func() { f(c.life) })
	return true
}

// agent gives a node's agent, or nil.
func (c *Controller) agent(id topology.NodeID) agentapi.Agent { return c.o.Agents[id] }
