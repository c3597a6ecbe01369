package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
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
// world's own strand, without the lock.
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
	{"kill server", 14, false, locked(func(w *World, n *node, _ Fault) { w.kill(n) }), nil},
	{"stop server", 4, false, locked(func(w *World, n *node, _ Fault) { w.stop(n) }), nil},
	{"start by hand", 9, false, locked(func(w *World, n *node, _ Fault) { _ = w.start(n, false, 400*time.Millisecond) }), nil},
	{"demote by hand", 5, false, locked(func(w *World, n *node, _ Fault) {
		// What a person does who has read half of the manual: standby.signal, where
		// the primary is, start. Nobody asks what the directory holds.
		if d := n.home(); d != nil && d.content == whole && n.srv == nil && w.pgpool.primary >= 0 && w.pgpool.primary != n.id {
			d.signal, d.up, d.slot = true, w.pgpool.primary, ""
			_ = w.start(n, false, 400*time.Millisecond)
		}
	}), nil},
	{"promote by hand", 4, false, locked(func(_ *World, n *node, _ Fault) {
		if n.accepting() && !n.srv.primary {
			n.srv.promoteAt = time.Now()
		}
	}), nil},
	{"attach by hand", 5, false, locked(func(w *World, n *node, _ Fault) { w.pgpool.enqueue(request{node: n.id, attach: true}) }), nil},
	{"detach by hand", 4, false, locked(func(w *World, n *node, _ Fault) { w.pgpool.enqueue(request{node: n.id}) }), nil},
	{"power cut", 6, true, locked(func(w *World, n *node, _ Fault) { w.powerCut(n); n.troubled = time.Now() }), locked((*World).powerOn)},
	{"freeze", 4, true, locked(func(_ *World, n *node, _ Fault) {
		if n.srv != nil {
			n.srv.frozen = true
			n.troubled = time.Now()
		}
	}), locked(func(_ *World, n *node, _ Fault) {
		if n.srv != nil {
			n.srv.frozen = false
			n.troubled = time.Now()
		}
	})},
	named("cut controller", 7, cutting(func(_ *World, n *node, f Fault) []way { return oneWay(f, controllerPlace+place(f.With%2), n.place()) })),
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
	named("cut PCP", 2, cutting(func(_ *World, _ *node, f Fault) []way { return oneWay(f, controllerPlace+1, pgpoolPlace) })),
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
		b := w.brains[int(f.With)%len(w.brains)]
		b.held++
		b.kill()
	}, func(w *World, _ *node, f Fault) { w.brains[int(f.With)%len(w.brains)].held-- }},
	{"kill Pgpool-II", 3, true, func(w *World, _ *node, _ Fault) { w.pgpoolHeld++; w.pgpool.kill() }, func(w *World, _ *node, f Fault) {
		w.pgpoolHeld--
		w.forget = f.Arg == "there"
	}},
	{"disk full", 4, true, locked(func(_ *World, n *node, _ Fault) { n.full = true }), locked(func(_ *World, n *node, _ Fault) { n.full = false })},
	{"recycle WAL", 4, false, locked(func(w *World, n *node, f Fault) { w.recycle(n, f.Arg == "there") }), nil},
	{"drop slots", 2, false, locked(func(_ *World, n *node, _ Fault) {
		if _, d := n.data(); d != nil {
			d.slots = map[string]*slot{}
		}
	}), nil},
	{"wipe directory", 3, false, locked(func(w *World, n *node, _ Fault) {
		if w.spare(n) {
			w.kill(n)
			n.places[resync.Home] = nil
		}
	}), nil},
	{"ruin directory", 2, false, locked(func(w *World, n *node, _ Fault) {
		if d := n.home(); d != nil && w.spare(n) {
			w.kill(n)
			d.content, d.proven = ruined, false
		}
	}), nil},
	{"kill hook", 3, false, locked(func(w *World, _ *node, _ Fault) { w.pgpool.killHook = true }), nil},
	{"hooks twice", 2, true, locked(func(w *World, _ *node, _ Fault) { w.hooksTwice = true }), locked(func(w *World, _ *node, _ Fault) { w.hooksTwice = false })},
	{"burst of writes", 5, true, locked(func(w *World, _ *node, _ Fault) { w.burst = true }), locked(func(w *World, _ *node, _ Fault) { w.burst = false })},
	{"slow replay", 4, true, locked(func(_ *World, n *node, _ Fault) { n.slow = true }), locked(func(_ *World, n *node, _ Fault) { n.slow = false })},
	{"pause replay", 2, true, locked(func(_ *World, n *node, _ Fault) {
		if n.srv != nil {
			n.srv.paused = true
		}
	}), locked(func(_ *World, n *node, _ Fault) {
		if n.srv != nil {
			n.srv.paused = false
		}
	})},
	{"resync asked", 3, false, func(w *World, n *node, _ Fault) { w.consent(n.id) }, nil},
	// Drawn by its own schedule only.
	{"die under an attach", 0, true, locked(func(w *World, _ *node, _ Fault) { w.dieUnderAttach = true }), locked(func(w *World, _ *node, _ Fault) { w.dieUnderAttach = false })},
	{"watchdog flips", 2, true, locked(func(w *World, _ *node, _ Fault) { w.lead(1) }), locked(func(w *World, _ *node, _ Fault) { w.lead(0) })},
}

// spare says that something is left when this node's directory goes.
func (w *World) spare(n *node) bool {
	for _, m := range w.nodes {
		if _, d := m.data(); m != n && d != nil && d.content == whole {
			return true
		}
	}
	return false
}

func effectOf(kind string) *effect {
	i := slices.IndexFunc(effects, func(e effect) bool { return e.name == kind })
	return &effects[i]
}
