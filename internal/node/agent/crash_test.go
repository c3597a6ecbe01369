package agent

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/test/fakes/fakehost"
)

// situation is a world in which a method is the right one.
type situation struct {
	name   string
	method topology.Method
	make   func() *fakehost.Solo
	// before brings the node there through its agent, if the world alone cannot.
	before func(r *rig)
}

func situations() []situation {
	world := func(d func() *fakehost.Dir) func() *fakehost.Solo {
		return func() *fakehost.Solo { return fakehost.NewSolo(d()) }
	}
	crashed := func() *fakehost.Dir { return fakehost.CrashedPrimary(false) }
	lost := func() *fakehost.Dir { return fakehost.CrashedPrimary(true) }
	ruined := func() *fakehost.Dir {
		d := lost()
		d.Content, d.Proven = fakehost.Ruined, false
		return d
	}
	return []situation{
		{"a stopped standby", topology.MethodStart, world(fakehost.StoppedStandby), nil},
		{"a standby of another node", topology.MethodFollow, world(fakehost.StoppedStandby),
			func(r *rig) { r.w.OutsideStart() }},
		{"a crashed primary that lost nothing", topology.MethodAdopt, world(crashed), nil},
		{"a crashed primary with lost commits", topology.MethodRewind, world(lost), nil},
		{"a second primary that runs", topology.MethodRewind, world(lost), func(r *rig) { r.w.OutsideStart() }},
		{"a crashed primary to copy again", topology.MethodBaseBackup, world(lost), nil},
		{"a standby to copy again", topology.MethodBaseBackup, world(fakehost.StoppedStandby), nil},
		{"no directory", topology.MethodBaseBackup, world(func() *fakehost.Dir { return nil }), nil},
		{"a ruined directory", topology.MethodBaseBackup, world(ruined), func(r *rig) { r.oldKept = true }},
		{"a half-rewound directory in repair", topology.MethodBaseBackup, world(lost),
			diesAt("rewind:rewind:progress", topology.MethodRewind)},
		{"a rewound directory in repair", topology.MethodRewind, world(lost),
			diesAt("rewind:restore-config:before", topology.MethodRewind)},
		{"a whole directory in repair", topology.MethodRewind, world(lost),
			diesAt("rewind:settle:before", topology.MethodRewind)},
		{"a stopped standby in repair", topology.MethodBaseBackup, world(fakehost.StoppedStandby),
			diesAt("base-backup:copy:progress", topology.MethodBaseBackup)},
		{"a new copy at home, the old one in repair", topology.MethodBaseBackup, world(lost),
			diesAt("base-backup:start-server:before", topology.MethodBaseBackup)},
		{"a new copy to start, the old one in repair", topology.MethodStart, world(lost),
			diesAt("base-backup:start-server:before", topology.MethodBaseBackup)},
		{"a new copy that runs, the old one in repair", topology.MethodFollow, world(lost), func(r *rig) {
			diesAt("base-backup:start-server:before", topology.MethodBaseBackup)(r)
			r.w.OutsideStart()
		}},
		{"a crashed primary, an older one in repair", topology.MethodAdopt, world(lost), later(false)},
		{"a diverged primary, an older one in repair", topology.MethodRewind, world(lost), later(true)},
		{"a diverged primary, an older one in repair", topology.MethodBaseBackup, world(lost), later(true)},
		{"a diverged primary, an older one in repair", topology.MethodCustom, world(lost), later(true)},
		{"a second primary that runs", topology.MethodBaseBackup, world(lost), func(r *rig) { r.w.OutsideStart() }},
		{"a rewound directory in repair", topology.MethodAdopt, world(lost),
			diesAt("rewind:restore-config:before", topology.MethodRewind)},
		{"a rewound directory in repair", topology.MethodStart, world(lost),
			diesAt("rewind:restore-config:before", topology.MethodRewind)},
		{"two runs that died", topology.MethodBaseBackup, world(lost), func(r *rig) {
			diesAt("base-backup:start-server:before", topology.MethodBaseBackup)(r)
			diesAt("base-backup:start-server:before", topology.MethodBaseBackup)(r)
		}},
		{"the operator's own command", topology.MethodCustom, world(lost), nil},
		{"a second primary that runs, the operator's own command", topology.MethodCustom, world(lost),
			func(r *rig) { r.w.OutsideStart() }},
		{"the operator's own command, the directory in repair", topology.MethodCustom, world(lost),
			diesAt("rewind:settle:before", topology.MethodRewind)},
	}
}

// later leaves an old copy in repair, and at home what a primary became that was
// made of the new copy, and crashed.
func later(lost bool) func(r *rig) {
	return func(r *rig) {
		diesAt("base-backup:start-server:before", topology.MethodBaseBackup)(r)
		d := fakehost.CrashedPrimary(lost)
		d.Name = "later"
		r.w.Put(resync.Home, d)
	}
}

// diesAt does a run of m whose agent dies at point, and starts the next agent.
func diesAt(point string, m topology.Method) func(r *rig) {
	return func(r *rig) {
		r.killAt = point
		r.run(m)
		if !r.died() {
			r.t.Fatalf("the run did not come past %s", point)
		}
		r.reopen()
	}
}

// pointsOf are the points that an undisturbed run in situation s passes, and
// the moments inside operations at which a process can die.
func pointsOf(t *testing.T, s situation) (points []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := prepared(t, s)
		r.run(s.method)
		points = slices.Sorted(maps.Keys(r.reached))
	})
	return points
}

// TestKilledAtEveryPoint is P4 and P5, hazards 6, 8, 9, 46 and 47: the agent
// dies at each point of each method, once with an external process that starts
// the server right then and once without; the next agent brings the node level.
func TestKilledAtEveryPoint(t *testing.T) {
	reached := map[string]bool{}
	for _, s := range situations() {
		for _, hand := range []bool{false, true} {
			name := s.name + ", " + string(s.method)
			if hand {
				name += ", an external process starts the server"
			}
			t.Run(name, func(t *testing.T) {
				for _, point := range pointsOf(t, s) {
					if hand && strings.HasSuffix(point, ":before") {
						continue // nothing has happened since the point before it
					}
					synctest.Test(t, func(t *testing.T) {
						maps.Copy(reached, killedAt(t, s, point, hand))
					})
				}
			})
		}
	}
	for _, p := range resync.AllPoints() {
		if !reached[p] && !strings.Contains(p, ":undo:") {
			t.Errorf("no situation passes the point %s", p)
		}
	}
}

// killedAt lets the agent die at point and heals the node with the next one.
func killedAt(t *testing.T, s situation, point string, hand bool) map[string]bool {
	t.Helper()
	r := newRig(t, s.make())
	if s.before != nil {
		s.before(r)
	}
	r.killAt = point
	st := r.run(s.method)
	if !r.died() {
		if st.Outcome != topology.RunDone {
			t.Errorf("%s: the run ended %s: %s %s", point, st.Outcome, st.Code, st.Error)
		}
		return r.reached
	}
	if hand {
		r.w.OutsideStart()
	}
	r.reopen()
	now, err := r.a.Run(t.Context(), "")
	if err != nil || !now.Outcome.Ended() {
		t.Errorf("%s: the dead run was not taken over: %+v, %v", point, now, err)
	}
	r.heal()
	if t.Failed() {
		t.Fatalf("died at %s", point)
	}
	return r.reached
}

// TestOutsideHandAtEveryPoint is P4 and hazards 27, 46 and 54: something
// starts the server in the data directory while a run continues.
func TestOutsideHandAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		t.Run(s.name+", "+string(s.method), func(t *testing.T) {
			for _, point := range pointsOf(t, s) {
				if strings.HasSuffix(point, ":after") {
					continue // the next one is the same moment
				}
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, s.make())
					if s.before != nil {
						s.before(r)
					}
					r.handAt = point
					r.run(s.method)
					r.heal()
					if t.Failed() {
						t.Fatalf("an external start at %s", point)
					}
				})
			}
		})
	}
}

// TestKilledWhileUndoing: the agent dies while it brings a directory home
// again after a failure before any damage.
func TestKilledWhileUndoing(t *testing.T) {
	t.Parallel()
	for _, m := range []topology.Method{topology.MethodAdopt, topology.MethodRewind, topology.MethodBaseBackup} {
		for _, part := range []string{":undo:before", ":undo:effect", ":end:before", ":end:after"} {
			for _, hand := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(m != topology.MethodAdopt)))
					r.failAfterMoveAway()
					r.killAt = string(m) + part
					r.run(m)
					if !r.died() {
						t.Fatalf("%s was not reached: %v", part, slices.Sorted(maps.Keys(r.reached)))
					}
					r.w.FailAt = 0
					if hand {
						r.w.OutsideStart()
					}
					r.reopen()
					r.heal()
				})
			}
		}
	}
}

// failAfterMoveAway makes the first operation fail that follows the move to the work directory.
func (r *rig) failAfterMoveAway() {
	check := r.w.OnOp
	r.w.OnOp = func(op string) {
		check(op)
		if op == "Move home to repair" && r.w.FailAt == 0 {
			r.w.FailAt = r.w.Ops + 2
		}
	}
}
