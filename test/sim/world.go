package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/lab/promise"
	"github.com/repool/repool/test/fakes/fakehost"
	"github.com/repool/repool/test/fakes/virtual"
)

// World is a pool and all that surrounds it.
type World struct {
	*fakehost.Pool
	seed    uint64
	faults  []Fault
	policy  plan.Policy
	log     *slog.Logger
	scratch string // a directory for what hooks keep
	cover   *Coverage
	begun   time.Time
	life    context.Context
	end     context.CancelFunc
	// goroutines are all goroutines but the world's own; Run waits for them.
	goroutines sync.WaitGroup

	mu              sync.Mutex // guards what follows; never held while anybody waits
	actors          uint64
	nodes           []*node
	pgpool          *pgpool
	controllerHosts []*controllerHost
	cuts            map[way]int
	latency         time.Duration
	// burst: much is written. hooksTwice: Pgpool-II calls each hook again. calm:
	// the faults are over. forget: Pgpool-II's status file is gone. dieUnderAttach:
	// the primary dies as the next standby is to be attached.
	burst, hooksTwice, calm, forget, dieUnderAttach bool
	hooksAlwaysTwice                                bool
	// attached is P1 as package promise has it; disturbed is when a fault or a person last did something.
	attached       promise.Attached
	disturbed      time.Time
	acked          acknowledged
	pgpoolHeld     int
	lazyCheckpoint time.Duration
	// oldest is how far every standby had replayed at the last look of leftOver.
	oldest topology.LSN
	wanted map[string]time.Time     // since when a person is wanted, by what for
	agreed map[topology.NodeID]bool // to be overwritten, by a person
	// settledSince is since when the evidence settles a contest, see contestSettled.
	settledSince time.Time

	violation *Violation
	tracing   bool
	all       bool // the trace has every event
	trace     []string
	trail     uint64
	events    int
}

const normalLatency = time.Millisecond

// Outcome is what came of a world.
type Outcome struct {
	Seed      uint64
	Faults    []Fault
	Violation *Violation // nil: every promise was kept
	Events    int
	// Trail is a digest of every event with its instant: equal for equal worlds.
	Trail uint64
	Took  time.Duration // virtual
	Trace []string
	Cover *Coverage
}

// Options choose a world.
type Options struct {
	Seed uint64
	// Faults replace those that the seed draws, where not nil.
	Faults  []Fault
	Tracing bool
	// All traces every event, so that two traces can be compared.
	All bool
	// Scratch is an empty directory.
	Scratch string
	Log     *slog.Logger
}

// Run plays a world to its end. It must be called in a synctest bubble.
func Run(o Options) Outcome {
	w := build(o)
	w.play()
	w.end()
	for _, n := range w.nodes {
		for _, p := range n.agents {
			p.end()
		}
	}
	out := Outcome{Seed: w.seed, Faults: w.faults, Violation: w.violation, Events: w.events, Trail: w.trail,
		Took: time.Since(w.begun), Trace: w.trace, Cover: w.cover}
	w.goroutines.Wait()
	virtual.Sleep(2 * time.Minute) // questions still open end by their own deadlines
	return out
}

// removedNode was in the pool before the world began, and its slot is still on the primary in some worlds.
const removedNode topology.NodeID = 9

// build makes the world of a seed: a healthy pool that streams.
func build(o Options) *World {
	d := dice{mix(o.Seed)}
	w := &World{seed: o.Seed, policy: policy(), log: o.Log, scratch: o.Scratch, cover: newCoverage(), begun: time.Now(),
		cuts: map[way]int{}, latency: normalLatency, tracing: o.Tracing, all: o.All, wanted: map[string]time.Time{},
		agreed: map[topology.NodeID]bool{}, lazyCheckpoint: d.between(time.Second, time.Minute)}
	w.Pool = &fakehost.Pool{WAL: fakehost.WAL{Seed: o.Seed}, System: 42, Startup: 300 * time.Millisecond,
		Violate: w.violate,
		Note:    w.note, Cut: func(from, to topology.NodeID) bool { return w.cut(place(from), place(to)) }}
	if w.log == nil {
		w.log = discard()
	}
	w.life, w.end = context.WithCancel(context.Background())
	count := pick(&d, 3, 3, 3, 2, 4)
	first := w.Write(fakehost.Origin(w.System), fakehost.Checkpoint, 0x78)
	for i := range count {
		n := &node{w: w, Node: fakehost.NewNode(topology.NodeID(i), fmt.Sprintf("db%d", i), 5432), autostart: d.chance(70)}
		dd := n.NewDir("data")
		dd.Begin(w.System, first)
		dd.Clean = true
		if i > 0 {
			dd.Signal, dd.Upstream, dd.Slot, dd.Recovering = true, 0, topology.SlotName(n.ID), true
		}
		n.Places[resync.Home] = dd
		w.nodes, w.Nodes = append(w.nodes, n), append(w.Nodes, n.Node)
	}
	for _, n := range w.nodes[1:] {
		w.nodes[0].Home().Slots[topology.SlotName(n.ID)] = &fakehost.Slot{Restart: first.End}
	}
	if o.Seed%4 == 0 {
		w.nodes[0].Home().Slots[topology.SlotName(removedNode)] = &fakehost.Slot{Restart: first.End, Horizon: first.End}
	}
	w.pgpool = newPgpool(w)
	w.pgpool.watchdog, w.hooksAlwaysTwice = d.chance(15), d.chance(20)
	hosts := 1
	if d.chance(35) || w.pgpool.watchdog {
		hosts = 2
	}
	for i := range hosts {
		b, err := w.newControllerHost(i)
		if err != nil {
			w.violate("world", "%v", err)
		}
		w.controllerHosts = append(w.controllerHosts, b)
	}
	w.pgpool.hook = w.hookDeps("failover hook", w.controllerHosts[0])
	for i := range w.pgpool.nodes {
		w.pgpool.nodes[i].status = topology.PoolUp
	}
	w.faults = o.Faults
	given := o.Faults != nil
	if !given {
		w.faults = draw(&d, count)
	}
	site := dice{hashOf(o.Seed, 31)}
	w.site(&site)
	w.synchronous(given)
	return w
}

// policy is the default one, with a gate and pauses that fit a small world.
func policy() plan.Policy {
	p := plan.DefaultPolicy()
	p.MaxLagBytes = 256 << 10
	p.BackoffMax = 20 * time.Second
	return p
}
