package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/test/fakes/fakehost"
)

// Fault is one thing that goes wrong, or that a person does.
type Fault struct {
	At   time.Duration // since the world began
	Kind string
	Node topology.NodeID // whom it befalls
	With topology.NodeID // the other one, if any
	For  time.Duration   // how long it lasts; zero: it is an act
	Arg  string
}

// String is the fault in a line of the trace.
func (f Fault) String() string {
	s := fmt.Sprintf("%8.3fs %s node %d", f.At.Seconds(), f.Kind, f.Node)
	if f.With != f.Node && f.With >= 0 {
		s += fmt.Sprintf(" with %d", f.With)
	}
	if f.Arg != "" {
		s += " (" + f.Arg + ")"
	}
	if f.For > 0 {
		s += fmt.Sprintf(" for %.1fs", f.For.Seconds())
	}
	return s
}

// effect is what a kind of fault does; undo ends it. Both are called by the
// world's own goroutine, without the lock.
type effect struct {
	name   string
	weight int // how often it is drawn
	lasts  bool
	do     func(w *World, n *node, f Fault)
	undo   func(w *World, n *node, f Fault)
}

// locked makes an effect of a function that wants the lock.
func locked(f func(w *World, n *node, f Fault)) func(*World, *node, Fault) {
	return func(w *World, n *node, x Fault) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f(w, n, x)
	}
}

func cutting(ways func(w *World, n *node, f Fault) []way) effect {
	change := func(by int) func(*World, *node, Fault) {
		return locked(func(w *World, n *node, f Fault) {
			for _, x := range ways(w, n, f) {
				w.cuts[x] += by
				for _, m := range w.nodes {
					if (m.place() == x.from || m.place() == x.to) && max(x.from, x.to) >= pgpoolPlace {
						m.troubled = time.Now()
					}
				}
			}
		})
	}
	return effect{lasts: true, do: change(1), undo: change(-1)}
}

// oneWay leaves one direction out, by the fault's argument.
func oneWay(f Fault, a, b place) []way {
	switch f.Arg {
	case "there":
		return []way{{a, b}}
	case "back":
		return []way{{b, a}}
	}
	return []way{{a, b}, {b, a}}
}

func named(name string, weight int, e effect) effect {
	e.name, e.weight = name, weight
	return e
}

// effects are all the kinds of faults.
var effects = []effect{
	{"kill server", 14, false, locked(func(w *World, n *node, _ Fault) { w.Kill(n.Node) }), nil},
	{"stop server", 4, false, locked(func(w *World, n *node, _ Fault) { w.Stop(n.Node) }), nil},
	{"start by hand", 9, false, locked(func(w *World, n *node, _ Fault) {
		_ = w.Start(n.Node, false,
			400*time.Millisecond)
	}), nil},
	{"demote by hand", 5, false, locked(func(w *World, n *node, _ Fault) { w.demote(n) }), nil},
	{"promote by hand", 4, false, locked(func(_ *World, n *node, _ Fault) {
		if n.Accepting() && !n.Server.Primary {
			n.Server.PromoteAt = time.Now()
		}
	}), nil},
	{"attach by hand", 5, false, locked(func(w *World, n *node, _ Fault) {
		w.pgpool.enqueue(request{node: n.ID,
			attach: true})
	}), nil},
	{"detach by hand", 4, false, locked(func(w *World, n *node, _ Fault) { w.pgpool.enqueue(request{node: n.ID}) }), nil},
	{"power cut", 6, true, locked(func(w *World, n *node, _ Fault) { w.powerCut(n); n.troubled = time.Now() }),
		locked((*World).powerOn)},
	{"freeze", 4, true, locked(func(_ *World, n *node, _ Fault) {
		if n.Server != nil {
			n.Server.Frozen = true
			n.troubled = time.Now()
		}
	}), locked(func(_ *World, n *node, _ Fault) {
		if n.Server != nil {
			n.Server.Frozen = false
			n.troubled = time.Now()
		}
	})},
	named("cut controller", 7, cutting(func(_ *World, n *node, f Fault) []way {
		return oneWay(f,
			controllerPlace+place(f.With%2), n.place())
	})),
	named("cut replication", 8, cutting(func(w *World, n *node, f Fault) []way {
		return oneWay(f, n.place(), w.nodes[int(f.With)%len(w.nodes)].place())
	})),
	named("isolate", 5, cutting(func(w *World, n *node, f Fault) []way {
		var all []way
		for _, m := range w.nodes {
			if m != n {
				all = append(all, way{n.place(), m.place()}, way{m.place(), n.place()})
			}
		}
		return append(all, append(oneWay(f, pgpoolPlace, n.place()), oneWay(f, controllerPlace+1, n.place())...)...)
	})),
	named("cut PCP", 2, cutting(func(_ *World, _ *node, f Fault) []way {
		return oneWay(f, controllerPlace+1,
			pgpoolPlace)
	})),
	{"slow network", 4, true, locked(func(w *World, _ *node, _ Fault) { w.latency = 250 * time.Millisecond }),
		locked(func(w *World, _ *node, _ Fault) { w.latency = normalLatency })},
	{"kill agent", 6, true, locked(func(_ *World, n *node, _ Fault) {
		for _, p := range n.agents {
			p.die()
		}
		n.agentsHeld++
	}), locked(func(_ *World, n *node, _ Fault) { n.agentsHeld-- })},
	{"agent dies at", 10, false, locked(func(_ *World, n *node, f Fault) {
		for _, p := range n.agents {
			p.diesAt = f.Arg
		}
		n.nextDiesAt = f.Arg
	}), nil},
	{"second agent", 4, false, func(w *World, n *node, _ Fault) { w.startAgent(n) }, nil},
	{"kill controller", 5, true, func(w *World, _ *node, f Fault) {
		b := w.controllerHosts[int(f.With)%len(w.controllerHosts)]
		b.held++
		b.kill()
	}, func(w *World, _ *node, f Fault) { w.controllerHosts[int(f.With)%len(w.controllerHosts)].held-- }},
	{"kill Pgpool-II", 3, true, func(w *World, _ *node, _ Fault) { w.pgpoolHeld++; w.pgpool.kill() }, func(w *World,
		_ *node, f Fault) {
		w.pgpoolHeld--
		w.forget = f.Arg == "there"
	}},
	{"disk full", 4, true, locked(func(_ *World, n *node, _ Fault) { n.Full = true }), locked(func(_ *World, n *node,
		_ Fault) {
		n.Full = false
	})},
	{"recycle WAL", 4, false, locked(func(w *World, n *node, f Fault) { w.Recycle(n.Node, f.Arg == "there") }), nil},
	{"drop slots", 2, false, locked(func(_ *World, n *node, _ Fault) {
		if _, d := n.Data(); d != nil {
			d.Slots = map[string]*fakehost.Slot{}
		}
	}), nil},
	{"wipe directory", 3, false, locked(func(w *World, n *node, _ Fault) {
		if w.spare(n) {
			w.Kill(n.Node)
			n.Places[resync.Home] = nil
		}
	}), nil},
	{"ruin directory", 2, false, locked(func(w *World, n *node, _ Fault) {
		if d := n.Home(); d != nil && w.spare(n) {
			w.Kill(n.Node)
			d.Content, d.Proven = fakehost.Ruined, false
		}
	}), nil},
	{"kill hook", 3, false, locked(func(w *World, _ *node, _ Fault) { w.pgpool.killHook = true }), nil},
	{"hooks twice", 2, true, locked(func(w *World, _ *node, _ Fault) { w.hooksTwice = true }), locked(func(w *World,
		_ *node, _ Fault) {
		w.hooksTwice = false
	})},
	{"burst of writes", 5, true, locked(func(w *World, _ *node, _ Fault) { w.burst = true }), locked(func(w *World,
		_ *node, _ Fault) {
		w.burst = false
	})},
	{"slow replay", 4, true, locked(func(_ *World, n *node, _ Fault) { n.Slow = true }), locked(func(_ *World, n *node,
		_ Fault) {
		n.Slow = false
	})},
	{"pause replay", 2, true, locked(func(_ *World, n *node, _ Fault) {
		if n.Server != nil {
			n.Server.Paused = true
		}
	}), locked(func(_ *World, n *node, _ Fault) {
		if n.Server != nil {
			n.Server.Paused = false
		}
	})},
	{"resync asked", 3, false, func(w *World, n *node, _ Fault) { w.consent(n.ID) }, nil},
	// Drawn by their own schedules only.
	{"demote when left behind", 0, false, locked(func(w *World, n *node, _ Fault) {
		// Only where the pool is on a later timeline and has recycled the WAL before it.
		d, u := n.Home(), w.newest()
		if d != nil && u != nil && u.Server.Dir.Tip.TLI > d.Tip.TLI && u.Server.Dir.From > d.Tip.End {
			w.demote(n)
		}
	}), nil},
	{"write directly", 0, false, locked(func(w *World, n *node, f Fault) {
		if n.Writes() {
			d := n.Server.Dir
			size := uint64(0x1808) // no client writes as much: see "Lines under one number" in docs/simulation.md
			if f.Arg == "there" {  // more than the pool writes meanwhile
				size = 1 << 20
			}
			d.Tip = w.Write(d.Tip, fakehost.Commit, size)
			d.Data = d.Tip
		}
	}), nil},
	{"die under an attach", 0, true, locked(func(w *World, _ *node, _ Fault) { w.dieUnderAttach = true }),
		locked(func(w *World, _ *node, _ Fault) { w.dieUnderAttach = false })},
	{"refuse to start", 0, true, locked(func(_ *World, n *node, _ Fault) { n.Refuses = true }),
		locked(func(_ *World, n *node, _ Fault) {
			n.Refuses = false
			n.Configs++
		})},
	{"hold slot", 0, true, locked(func(w *World, n *node, _ Fault) { w.holdSlot(n, true) }),
		locked(func(w *World, n *node, _ Fault) { w.holdSlot(n, false) })},
	{"stuck replay", 0, true, locked(func(_ *World, n *node, _ Fault) { n.Stuck, n.StuckAt = true, time.Now() }),
		locked(func(_ *World, n *node, _ Fault) { n.Stuck = false })},
	{"watchdog flips", 2, true, locked(func(w *World, _ *node, _ Fault) { w.lead(1) }), locked(func(w *World, _ *node,
		_ Fault) {
		w.lead(0)
	})},
}

// holdSlot makes a session that is not the node's use its slot on every primary, where the node does not, or ends it.
func (w *World) holdSlot(n *node, held bool) {
	for _, m := range w.nodes {
		sl := (*fakehost.Slot)(nil)
		if _, d := m.Data(); d != nil {
			sl = d.Slots[topology.SlotName(n.ID)]
		}
		if sl != nil && (!held || n.Server == nil || !n.Server.Streaming) {
			sl.Held, sl.HeldAt = held, time.Now()
		}
	}
}

// demote is what a person does who has read half of the manual: standby.signal, where the
// primary is, start. Nobody asks what the directory holds. w.mu is held.
func (w *World) demote(n *node) {
	if d := n.Home(); d != nil && d.Content == fakehost.Whole && n.Server == nil && w.pgpool.primary >= 0 &&
		w.pgpool.primary != n.ID {
		d.Signal, d.Upstream, d.Slot = true, w.pgpool.primary, ""
		_ = w.Start(n.Node, false, 400*time.Millisecond)
	}
}

// spare says that something is left when this node's directory goes.
func (w *World) spare(n *node) bool {
	for _, m := range w.nodes {
		if _, d := m.Data(); m != n && d != nil && d.Content == fakehost.Whole {
			return true
		}
	}
	return false
}

func effectOf(kind string) *effect {
	i := slices.IndexFunc(effects, func(e effect) bool { return e.name == kind })
	return &effects[i]
}
