package sim

import (
	"bytes"

	"github.com/repool/repool/internal/event"
	"github.com/repool/repool/internal/journal"
)

// Coverage counts what worlds have reached.
type Coverage struct {
	// codes counts decisions by code, and then by what was decided.
	codes map[string]map[string]int
	// points are the engine's crash points that were passed, runs the ends of runs
	// by method, outcome and code.
	points, runs, hooks, faults, person map[string]int
}

func newCoverage() *Coverage {
	return &Coverage{codes: map[string]map[string]int{}, points: map[string]int{}, runs: map[string]int{}, hooks: map[string]int{}, faults: map[string]int{}, person: map[string]int{}}
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

func (c *Coverage) event(e event.Event) {
	if e.Kind != "decision" {
		return
	}
	what := field(e.Data, "action")
	if what == "resync" || what == "attach" {
		what = field(e.Data, "method")
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
		c.runs[string(rec.Run.Method)+" "+string(rec.Run.Outcome)+" "+rec.Run.Code]++
	}
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
