package sim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Shrink leaves out faults while the world still breaks the same promise, and
// returns what is left. try plays the seed's world with other faults.
func Shrink(o Outcome, try func(faults []Fault) Outcome) Outcome {
	best := o
	for size := (len(best.Faults) + 1) / 2; size >= 1; {
		smaller := false
		for from := 0; from+size <= len(best.Faults); from++ {
			fewer := slices.Concat(best.Faults[:from:from], best.Faults[from+size:])
			if len(fewer) == 0 {
				fewer = []Fault{}
			}
			if got := try(fewer); got.Violation != nil && got.Violation.Promise == o.Violation.Promise {
				best, smaller = got, true
				break
			}
		}
		if !smaller {
			size /= 2
		}
		size = min(size, len(best.Faults))
	}
	return best
}

// Story tells a world to a person: its faults, the end of its trace, and what
// was broken.
func (o Outcome) Story(lines int) string {
	var b strings.Builder
	for _, f := range o.Faults {
		b.WriteString(f.String() + "\n")
	}
	trace := o.Trace
	if lines > 0 && len(trace) > lines {
		trace = trace[len(trace)-lines:]
	}
	b.WriteString(strings.Join(trace, "\n"))
	return b.String()
}

// sorted are the keys of a map, in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
