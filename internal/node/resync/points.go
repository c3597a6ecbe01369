package resync

import (
	"slices"

	"github.com/repool/repool/internal/core/topology"
)

// CrashEnv names the environment variable that holds the point at which a program built with -tags crashpoints kills
// itself, such as "rewind:move-away:effect". No other program reads it.
const CrashEnv = "REPOOL_CRASHPOINT"

// The parts of a step at which a process can die, in order.
const (
	atBefore   = "before"   // nothing of the step is journaled
	atIntent   = "intent"   // the intent is on disk, nothing is done
	atCleared  = "cleared"  // cleared and confirmed
	atMarked   = "marked"   // the journal says that damage begins
	atProgress = "progress" // bytes are on the move
	atEffect   = "effect"   // done, the outcome is not journaled
	atAfter    = "after"    // the outcome is noted
)

// endPoints are reached by every run after its last step, and undoPoints by
// one that fails with its directory in repair.
var (
	endPoints  = []string{"end:before", "end:after"}
	undoPoints = []string{"undo:before", "undo:effect"}
)

// parts lists the parts that a step has.
func (s *Step) parts() []string {
	p := []string{atBefore, atIntent}
	if s.Clearance {
		p = append(p, atCleared)
	}
	if s.Damages {
		p = append(p, atMarked)
	}
	if s.Moves {
		p = append(p, atProgress)
	}
	return append(p, atEffect, atAfter)
}

// PointsOf names every point that a run of method m can pass, in order, as
// "method:step:part". Steps that find nothing to do pass only "before" and "after".
func PointsOf(m topology.Method) []string {
	var all []string
	for _, s := range steps[m] {
		for _, p := range s.parts() {
			all = append(all, string(m)+":"+s.Name+":"+p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	for _, p := range slices.Concat(undoPoints, endPoints) {
		all = append(all, string(m)+":"+p)
	}
	return all
}

// AllPoints names every point of every method, in the order of the methods.
func AllPoints() []string {
	var all []string
	for _, m := range append(slices.Clone(topology.Methods), topology.MethodCustom) {
		all = append(all, PointsOf(m)...)
	}
	return all
}
