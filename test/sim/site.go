package sim

import (
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
)

// site draws the settings of the pool. Some are not as repool would set them up: the
// standbys spell the primary in their own way, name themselves as PostgreSQL does by
// default, or so that nobody can tell them apart, and use no slot of repool's.
// Repointing them may need a person.
func (w *World) site(d *dice) {
	w.pgpool.detachFalse = d.chance(50)
	if !d.chance(16) {
		return
	}
	app, obscure := pick(d, "walreceiver", "west"), d.chance(45)
	for _, n := range w.nodes[1:] {
		dir := n.Home()
		dir.Spelled, dir.App, dir.Obscure = "primary.example", app, obscure
		if d.chance(60) || obscure {
			dir.Slot = ""
		}
	}
	if d.chance(50) {
		w.policy.Methods = map[topology.Method]plan.Mode{topology.MethodFollow: plan.Ask}
	}
}
