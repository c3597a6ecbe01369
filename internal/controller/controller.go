package controller

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repool/repool/internal/agentapi"
	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// Observer gathers one snapshot.
type Observer interface {
	Observe(ctx context.Context) topology.Snapshot
}

// Pool changes what one Pgpool-II routes to. Both calls return when Pgpool-II
// has queued the request; success shows in a later snapshot.
type Pool interface {
	Endpoint() string
	Attach(ctx context.Context, node topology.NodeID) error
	Detach(ctx context.Context, node topology.NodeID) error
}

// Node is how the controller reaches one node's agent for changes.
type Node struct {
	ID    topology.NodeID
	Agent agentapi.Agent // nil: cannot be reached
}

// Unfinished takes up promotions that a killed hook left behind.
type Unfinished interface {
	// Pending is cheap: whether there may be something to take up.
	Pending() bool
	// Resume finishes what is pending; n is how many were found.
	Resume(ctx context.Context) (n int, err error)
}

// Options wire a Controller. All but Unfinished and Checkpoint are needed.
type Options struct {
	Observer   Observer
	Pools      []Pool // in the order of the snapshot's Pools
	Nodes      []Node
	Policy     plan.Policy
	Store      *history.Store
	Log        *slog.Logger
	Interval   time.Duration // between passes when nothing is under way
	Version    string
	Unfinished Unfinished
	// Checkpoint runs a checkpoint on a node and returns when it is done.
	Checkpoint func(ctx context.Context, node topology.NodeID) error
}

// busyInterval is the pace while something is under way.
const busyInterval = 150 * time.Millisecond

// Controller is the loop. Create it with New, run it with Run.
type Controller struct {
	o       Options
	holder  string
	started time.Time
	look    chan string
	status  atomic.Pointer[control.Status]

	mu       sync.Mutex // guards what follows
	mem      plan.Memory
	memSaved string
	busy     map[topology.NodeID]string
	recovers map[topology.NodeID]time.Time // online recovery: Pgpool-II attaches, not we, until then
	said     map[topology.NodeID]string    // the decision last recorded in the history
	watching map[string]bool               // runs that a goroutine follows
	pass     uint64
	acts     sync.WaitGroup
}

// New makes a controller and loads what it must remember.
func New(ctx context.Context, o Options) (*Controller, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	c := &Controller{o: o, holder: fmt.Sprintf("%s/%d", host, os.Getpid()), started: time.Now(), look: make(chan string, 1),
		busy: map[topology.NodeID]string{}, recovers: map[topology.NodeID]time.Time{}, said: map[topology.NodeID]string{},
		watching: map[string]bool{}}
	c.mem.Primary = topology.NoNode
	if _, err := o.Store.Kept(ctx, memoryName, &c.mem); err != nil {
		return nil, fmt.Errorf("load the planner's memory: %w", err)
	}
	c.status.Store(&control.Status{At: c.started, Started: c.started, Version: o.Version, PID: os.Getpid(), Why: "starting", Memory: c.mem})
	return c, nil
}

// Run passes until ctx is done, then waits for the acts under way to return.
// Runs on the nodes belong to their agents and go on.
func (c *Controller) Run(ctx context.Context) error {
	c.record(ctx, history.Event{Node: topology.NoNode, Kind: "controller", Code: "started", Text: "controller started, version " + c.o.Version})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		reason := "interval"
		select {
		case <-ctx.Done():
			c.acts.Wait()
			return nil
		case <-timer.C:
		case reason = <-c.look:
		}
		busy := c.onePass(ctx, reason)
		timer.Reset(c.pace(busy))
	}
}

func (c *Controller) pace(busy bool) time.Duration {
	if busy && busyInterval < c.o.Interval {
		return busyInterval
	}
	return c.o.Interval
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

// onePass observes, plans, acts and publishes. It reports whether something is
// under way that deserves a closer look soon.
func (c *Controller) onePass(ctx context.Context, reason string) bool {
	begun := time.Now()
	snap := c.o.Observer.Observe(ctx)
	if ctx.Err() != nil {
		return false
	}
	c.mu.Lock()
	mem, decisions := plan.Step(c.mem, snap, c.o.Policy, time.Now())
	c.mem = mem
	c.pass++
	pass := c.pass
	c.mu.Unlock()
	c.save(ctx, mem)

	acting, why := mayAct(&snap)
	busy := false
	for _, d := range decisions {
		c.say(ctx, d)
		busy = busy || d.Severity == plan.Work
		if acting {
			c.act(ctx, d, &snap)
		}
	}
	if acting {
		c.adopt(ctx, &snap)
		c.resumeHooks(ctx)
	}
	st := control.Status{At: time.Now(), Version: c.o.Version, PID: os.Getpid(), Started: c.started, Acting: acting, Why: why,
		Pass: pass, PassTook: time.Since(begun), Snapshot: snap, Decisions: decisions, Memory: mem}
	c.status.Store(&st)
	c.o.Log.Debug("pass", "reason", reason, "took", st.PassTook, "busy", busy)
	return busy
}

// mayAct is the watchdog rule: only beside the leader with quorum, and only
// while the local Pgpool-II answers at all.
func mayAct(snap *topology.Snapshot) (bool, string) {
	if len(snap.Pools) == 0 {
		return false, "no Pgpool-II is configured"
	}
	p := snap.Pools[0]
	if !p.OK() {
		return false, "the local Pgpool-II does not answer: " + p.Err
	}
	if !p.Watchdog.MayAct() {
		return false, fmt.Sprintf("the local Pgpool-II is a watchdog member in state %s with quorum %d: only the leader with quorum acts", p.Watchdog.State, p.Watchdog.Quorum)
	}
	return true, ""
}
