package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

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
		all = append(all, Fault{At: t, Kind: "cut replication", Node: topology.NodeID(1 + d.below(nodes-1)), With: 0,
			For: at(2*second, 6*second), Arg: "none"})
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
	all = append(all, anyFaults(d, node)...)
	if d.chance(12) { // the primary dies, and an attach waits behind its failure
		n := topology.NodeID(1 + d.below(nodes-1))
		add(t, "kill server", n, 0, "")
		add(t, "die under an attach", 0, 60*second, "")
	}
	if d.chance(25) {
		failsByItself(d, topology.NodeID(1+d.below(nodes-1)), t, add)
	}
	further := schedule{d: d, nodes: nodes, begin: t, all: all}
	further.more()
	slices.SortStableFunc(further.all, func(a, b Fault) int { return int(a.At - b.At) })
	return further.all
}

// failsByItself is a standby that fails for a reason which no copy ends.
func failsByItself(d *dice, n topology.NodeID, t time.Duration,
	add func(t time.Duration, kind string, n topology.NodeID, lasts time.Duration, arg string)) {
	const second = time.Second
	switch d.below(3) {
	case 0: // its server refuses to start
		add(t, "refuse to start", n, d.between(50*second, 70*second), "")
		add(t+second, "kill server", n, 0, "")
	case 1: // somebody else has its slot
		add(t, "kill server", n, 0, "")
		add(t+10*time.Millisecond, "hold slot", n, d.between(60*second, 80*second), "")
	case 2: // its replay stands still, and it is started again
		add(t, "burst of writes", n, 60*second, "")
		add(t, "stuck replay", n, d.between(80*second, 100*second), "")
		add(t+d.between(5*second, 9*second), "kill server", n, 0, "")
	}
}

// anyFaults are a few faults at any time, each as likely as its weight.
func anyFaults(d *dice, node func() topology.NodeID) (all []Fault) {
	const second = time.Second
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
			f := Fault{At: d.between(2*second, 35*second), Kind: e.name, Node: node(), With: node(), Arg: pick(d, "none", "none",
				"there", "back")}
			if e.lasts {
				f.For = d.between(second, 14*second)
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
	return all
}
