package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/resync"
	"github.com/repool/repool/internal/topology"
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
	{"promote by hand", 4, false, locked(func(w *World, n *node, _ Fault) {
		if n.accepting() && !n.srv.primary {
			n.srv.promoteAt = time.Now()
		}
	}), nil},
	{"attach by hand", 5, false, locked(func(w *World, n *node, _ Fault) { w.pgpool.enqueue(request{node: n.id, attach: true}) }), nil},
	{"detach by hand", 4, false, locked(func(w *World, n *node, _ Fault) { w.pgpool.enqueue(request{node: n.id}) }), nil},
	{"power cut", 6, true, locked(func(w *World, n *node, _ Fault) { w.powerCut(n); n.troubled = time.Now() }), locked((*World).powerOn)},
	{"freeze", 4, true, locked(func(w *World, n *node, _ Fault) {
		if n.srv != nil {
			n.srv.frozen = true
			n.troubled = time.Now()
		}
	}), locked(func(w *World, n *node, _ Fault) {
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

// draw makes the faults of a world.
func draw(d *dice, nodes int) []Fault {
	var all []Fault
	node := func() topology.NodeID { return topology.NodeID(d.below(nodes)) }
	at := func(lo, hi time.Duration) time.Duration { return d.between(lo, hi) }
	add := func(t time.Duration, kind string, n topology.NodeID, lasts time.Duration, arg string) {
		all = append(all, Fault{At: t, Kind: kind, Node: n, With: node(), For: lasts, Arg: arg})
	}
	t := at(3*time.Second, 6*time.Second)
	second := time.Second
	point := func(m topology.Method) string { return pick(d, resync.PointsOf(m)...) }
	switch d.below(14) {
	case 0, 1: // the primary dies with commits that nobody has
		add(t, "isolate", 0, at(second, 2*second), "none")
		add(t+900*time.Millisecond, "kill server", 0, 0, "")
		if d.chance(40) { // and too much was written since to rewind
			add(t+950*time.Millisecond, "recycle WAL", 0, 0, "there")
		}
	case 10: // one standby has more than the other
		all = append(all, Fault{At: t, Kind: "cut replication", Node: topology.NodeID(1 + d.below(nodes-1)), With: 0, For: at(2*second, 6*second), Arg: "none"})
		add(t+at(second, 2*second), "kill server", 0, 0, "")
	case 12: // a second primary under the same timeline number writes more, and is demoted
		last := topology.NodeID(nodes - 1)
		add(t, "isolate", last, 6*second, "none")
		add(t+100*time.Millisecond, "kill server", 0, 0, "")
		add(t+500*time.Millisecond, "promote by hand", last, 0, "")
		add(t+at(6*second, 8*second), "kill Pgpool-II", 0, at(8*second, 14*second), "none")
		add(t+9*second, "kill server", last, 0, "")
		add(t+10*second, "demote by hand", last, 0, "")
	case 11: // somebody takes the living primary out
		add(t, "detach by hand", 0, 0, "")
	case 2: // and is started again
		add(t, "isolate", 0, at(second, 2*second), "none")
		add(t+900*time.Millisecond, "kill server", 0, 0, "")
		add(t+at(3*second, 20*second), "start by hand", 0, 0, "")
	case 3: // two primaries one after the other
		add(t, "kill server", 0, 0, "")
		add(t+at(4*second, 15*second), "kill server", 1, 0, "")
		add(t+at(4*second, 25*second), "start by hand", node(), 0, "")
	case 4: // an agent dies in the middle of a rewind, and somebody starts the server
		add(t, "isolate", 0, at(second, 2*second), "none")
		add(t+900*time.Millisecond, "kill server", 0, 0, "")
		add(t, "agent dies at", 0, 0, point(pick(d, topology.MethodRewind, topology.MethodAdopt)))
		add(t+at(5*second, 15*second), "start by hand", 0, 0, "")
	case 5: // two promotions to one timeline
		add(t, "isolate", topology.NodeID(nodes-1), at(2*second, 9*second), "none")
		add(t+second, "promote by hand", topology.NodeID(nodes-1), 0, "")
		add(t+at(0, 4*second), "kill server", 0, 0, "")
		if d.chance(50) {
			add(t+5*second, "kill server", topology.NodeID(nodes-1), 0, "")
			add(t+at(9*second, 20*second), "demote by hand", topology.NodeID(nodes-1), 0, "")
		}
	case 6: // a copy, and an agent that dies in it
		n := topology.NodeID(1 + d.below(nodes-1))
		add(t, "wipe directory", n, 0, "")
		add(t, "agent dies at", n, 0, point(topology.MethodBaseBackup))
		add(t+at(2*second, 12*second), pick(d, "kill agent", "kill controller", "disk full"), n, at(2*second, 9*second), "")
	case 7: // everything loses its power
		for i := range nodes {
			add(t+at(0, 400*time.Millisecond), "power cut", topology.NodeID(i), at(2*second, 15*second), "")
		}
	case 8: // a clean stop of the primary
		add(t, "stop server", 0, 0, "")
		add(t, "agent dies at", 0, 0, point(topology.MethodAdopt))
	case 9: // wrong hands
		add(t, "kill server", 0, 0, "")
		add(t+at(3*second, 9*second), "attach by hand", 0, 0, "")
		add(t+at(3*second, 9*second), "start by hand", 0, 0, "")
	}
	if d.chance(8) { // a standby that lags, and is put aside
		n := topology.NodeID(1 + d.below(nodes-1))
		add(t, "burst of writes", n, 40*second, "")
		add(t, "slow replay", n, 40*second, "")
		add(t+at(22*second, 30*second), pick(d, "detach by hand", "kill server"), n, 0, "")
	}
	total := 0
	for _, e := range effects {
		total += e.weight
	}
	for range 1 + d.below(6) {
		k := d.below(total)
		for _, e := range effects {
			if k -= e.weight; k >= 0 {
				continue
			}
			f := Fault{At: at(2*second, 35*second), Kind: e.name, Node: node(), With: node(), Arg: pick(d, "none", "none", "there", "back")}
			if e.lasts {
				f.For = at(second, 14*second)
			}
			if e.name == "agent dies at" {
				f.Arg = pick(d, resync.AllPoints()...)
				if d.chance(50) {
					_, f.Arg, _ = strings.Cut(f.Arg, ":")
					f.Arg = "*:" + f.Arg
				}
			}
			all = append(all, f)
			break
		}
	}
	if d.chance(12) { // the primary dies, and an attach waits behind its failure
		n := topology.NodeID(1 + d.below(nodes-1))
		add(t, "kill server", n, 0, "")
		add(t, "die under an attach", 0, 60*second, "")
	}
	slices.SortStableFunc(all, func(a, b Fault) int { return int(a.At - b.At) })
	return all
}
