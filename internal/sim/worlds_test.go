package sim

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// number reads an environment variable.
func number(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func TestDev(t *testing.T) {
	from, worlds := number(t, "SEED", 0), int(number(t, "WORLDS", 200))
	begun := time.Now()
	events, n, bad := 0, 0, map[string]int{}
	first := map[string]uint64{}
	cover := newCoverage()
	playMany(t, from, worlds, func(t *testing.T, o Outcome, again func(Options) Outcome) bool {
		events += o.Events
		n++
		cover.Add(o.Cover)
		if v := o.Violation; v != nil {
			key := v.Promise + ": " + scrub(v.Text)
			if bad[key]++; bad[key] == 1 {
				first[key] = o.Seed
			}
		}
		return true
	})
	took := time.Since(begun)
	t.Logf("%d worlds, %d events, %.1f ms a world", n, events, took.Seconds()*1000/float64(n))
	for _, k := range sorted(bad) {
		t.Logf("%4d × (seed %d) %s", bad[k], first[k], k)
	}
	t.Logf("codes:")
	for _, k := range sorted(cover.codes) {
		t.Logf("   %-26s %v", k, cover.codes[k])
	}
	t.Logf("person %v", cover.person)
	t.Logf("hooks %v", cover.hooks)
	for _, k := range sorted(cover.runs) {
		t.Logf("   run %-40s %v", k, cover.runs[k])
	}
	t.Logf("points %d", len(cover.points))
}

// scrub takes the numbers out of a text.
func scrub(s string) string {
	out := []byte{}
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' {
			if len(out) == 0 || out[len(out)-1] != '#' {
				out = append(out, '#')
			}
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

func TestReplay(t *testing.T) {
	seed := number(t, "SEED", 0)
	dir := scratch(t)
	o := play(t, dir, Options{Seed: seed, Tracing: true})
	if o.Violation != nil {
		o = Shrink(o, func(f []Fault) Outcome {
			return play(t, scratch(t), Options{Seed: seed, Tracing: true, Faults: f})
		})
	}
	t.Log("\n" + o.Story(int(number(t, "LINES", 200))))
	t.Logf("%+v events %d took %s trail %x", o.Violation, o.Events, o.Took, o.Trail)
}
