package sim

import (
	"strings"
	"testing"
)

// TestASeedReplays plays worlds again and again: every event must come at the
// same instant, whatever Go's scheduler does.
func TestASeedReplays(t *testing.T) {
	t.Parallel()
	seeds, times := int(number(t, "REPLAY_SEEDS", 12)), 6
	first := map[uint64]Outcome{}
	for round := range times {
		playMany(t, number(t, "SEED", 5000), seeds, func(t *testing.T, o Outcome, again func(Options) Outcome) bool {
			was, known := first[o.Seed]
			if !known {
				first[o.Seed] = o
				return true
			}
			if o.Trail == was.Trail && o.Events == was.Events {
				return true
			}
			t.Errorf("seed %d, round %d: %d events, before %d", o.Seed, round, o.Events, was.Events)
			for range 40 {
				a, b := again(Options{Seed: o.Seed, Tracing: true, All: true}), again(Options{Seed: o.Seed, Tracing: true,
					All: true})
				if a.Trail != b.Trail {
					t.Error(firstDifference(a.Trace, b.Trace))
					break
				}
			}
			return false
		})
	}
}

// firstDifference shows where two traces part.
func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			from := max(0, i-15)
			return strings.Join(a[from:min(len(a), i+5)], "\n") + "\nand\n" + strings.Join(b[from:min(len(b), i+5)], "\n")
		}
	}
	return "one trace is the beginning of the other"
}
