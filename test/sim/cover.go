package sim

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/show/event"
)

// Coverage counts what worlds have reached.
type Coverage struct {
	// codes counts decisions by code, and then by what was decided.
	codes map[string]map[string]int
	// states counts them by the world's state of the node: "code" or "code: method".
	states map[string]map[string]int
	// points are the engine's crash points that were passed, runs the ends of runs
	// by method, outcome and code.
	points, runs, hooks, faults, person map[string]int
}

func newCoverage() *Coverage {
	return &Coverage{codes: map[string]map[string]int{}, states: map[string]map[string]int{}, points: map[string]int{},
		runs: map[string]int{}, hooks: map[string]int{}, faults: map[string]int{}, person: map[string]int{}}
}

// field reads a text field of flat JSON.
func field(data []byte, name string) string {
	_, rest, ok := bytes.Cut(data, []byte(`"`+name+`":"`))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

// event counts a decision; state is the node's.
func (c *Coverage) event(e event.Event, state string) {
	if e.Kind != "decision" {
		return
	}
	what, in := field(e.Data, "action"), e.Code
	if what == "resync" || what == "attach" {
		what = field(e.Data, "method")
		in += ": " + what
	}
	if state != "" {
		if c.states[state] == nil {
			c.states[state] = map[string]int{}
		}
		c.states[state][in]++
	}
	by := c.codes[e.Code]
	if by == nil {
		by = map[string]int{}
		c.codes[e.Code] = by
	}
	by[what]++
}

func (c *Coverage) point(name string) { c.points[name]++ }

func (c *Coverage) run(rec journal.Record) {
	if !rec.Live() {
		c.runs[string(rec.Run.Method)+" "+string(rec.Run.Outcome)+" "+string(rec.Run.Code)]++
	}
}

// Summary is the coverage in a line.
func (c *Coverage) Summary() string {
	decisions := 0
	for _, by := range c.codes {
		decisions += len(by)
	}
	acts := 0
	for _, n := range c.person {
		acts += n
	}
	return fmt.Sprintf("%d planner codes in %d decisions, %d states of nodes, %d ends of runs, %d crash points, "+
		"%d ends of hooks, %d kinds of faults; a person was needed %d times",
		len(c.codes), decisions, len(c.states), len(c.runs), len(c.points), len(c.hooks), len(c.faults), acts)
}

// Dull lists what worlds must have reached and have not: promises that were
// never in danger are not kept but untouched.
func (c *Coverage) Dull() []string {
	var out []string
	for _, m := range []topology.Method{topology.MethodStart, topology.MethodFollow, topology.MethodAdopt,
		topology.MethodRewind, topology.MethodBaseBackup} {
		done, broken := 0, 0
		for what, n := range c.runs {
			switch {
			case strings.HasPrefix(what, string(m)+" done"):
				done += n
			case strings.HasPrefix(what, string(m)+" "):
				broken += n
			}
		}
		if done == 0 || broken == 0 {
			out = append(out, fmt.Sprintf("%s ended well %d times, and otherwise %d times", m, done, broken))
		}
	}
	for _, e := range effects {
		if c.faults[e.name] == 0 {
			out = append(out, "no "+e.name)
		}
	}
	return out
}

// Add takes another's counts in.
func (c *Coverage) Add(o *Coverage) {
	for code, by := range o.codes {
		mine := c.codes[code]
		if mine == nil {
			mine = map[string]int{}
			c.codes[code] = mine
		}
		sum(mine, by)
	}
	for state, by := range o.states {
		if c.states[state] == nil {
			c.states[state] = map[string]int{}
		}
		sum(c.states[state], by)
	}
	sum(c.points, o.points)
	sum(c.runs, o.runs)
	sum(c.hooks, o.hooks)
	sum(c.faults, o.faults)
	sum(c.person, o.person)
}

func sum(to, from map[string]int) {
	for k, n := range from {
		to[k] += n
	}
}
