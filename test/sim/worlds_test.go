package sim

// Environment variables of the tests in this package:
//
//	WORLDS=n     TestWorlds plays n worlds, those of the seeds 1 to n, so the same at every time. Without it 1,500, which
//	             is what `make test` plays; `make test-all` says 10000.
//	SEED=n       TestWorlds begins with seed n; TestShow tells the world of that seed.
//	LINES=n      TestShow tells the last n lines only.
//	MUTANT=text  TestMutants builds only the wrong builds whose names contain the text.

import (
	"fmt"
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

const (
	ordinaryWorlds = 1500 // without WORLDS
	enoughWorlds   = 300  // to reach what the coverage wants
)

// TestWorlds plays WORLDS worlds from SEED on and wants every promise kept.
func TestWorlds(t *testing.T) {
	worlds := int(number(t, "WORLDS", ordinaryWorlds))
	begun, shown, broken := time.Now(), time.Now(), 0
	events, n, virtual := 0, 0, time.Duration(0)
	cover := newCoverage()
	playMany(t, number(t, "SEED", 1), worlds, func(t *testing.T, o Outcome, again func(Options) Outcome) bool {
		events, n, virtual = events+o.Events, n+1, virtual+o.Took
		cover.Add(o.Cover)
		if time.Since(shown) > time.Minute {
			shown = time.Now()
			fmt.Printf("%d worlds, %d events, %s of their time\n", n, events, virtual.Round(time.Second))
		}
		if o.Violation == nil {
			return true
		}
		broken++
		report(t, o, again)
		return broken < 5
	})
	t.Logf("%d worlds, %d events, %s of their time in %.1f s: %d broken promises", n, events, virtual.Round(time.Second),
		time.Since(begun).Seconds(), broken)
	t.Logf("covered: %s", cover.Summary())
	for _, what := range sorted(cover.person) {
		t.Logf("a person was needed %d times: %s", cover.person[what], what)
	}
	if *update {
		writeSection(t, "coverage", coverTable(cover))
		writeSection(t, "states", stateTable(cover))
	}
	if n >= enoughWorlds {
		for _, dull := range cover.Dull() {
			t.Errorf("the worlds are too quiet: %s", dull)
		}
	}
}

// report tells of a broken promise with as few faults as still break it.
func report(t *testing.T, o Outcome, again func(Options) Outcome) {
	t.Helper()
	small := Shrink(o, func(faults []Fault) Outcome { return again(Options{Seed: o.Seed, Faults: faults}) })
	told := again(Options{Seed: o.Seed, Faults: small.Faults, Tracing: true})
	t.Errorf("seed %d breaks %s: %s\nwith these faults alone: %s\n\nmake sim SEED=%d shows it from its beginning",
		o.Seed, o.Violation.Promise, o.Violation.Text, told.Story(60), o.Seed)
}

// TestShow plays the world of SEED and tells all of it, with as few faults as
// still break a promise if one is broken.
func TestShow(t *testing.T) {
	seed := number(t, "SEED", 1)
	playMany(t, seed, 1, func(t *testing.T, o Outcome, again func(Options) Outcome) bool {
		faults := o.Faults
		if o.Violation != nil {
			faults = Shrink(o, func(f []Fault) Outcome { return again(Options{Seed: seed, Faults: f}) }).Faults
		}
		told := again(Options{Seed: seed, Faults: faults, Tracing: true})
		t.Logf("seed %d\n%s", seed, told.Story(int(number(t, "LINES", 0))))
		if v := told.Violation; v != nil {
			t.Errorf("%s broken after %s: %s", v.Promise, v.At, v.Text)
		}
		t.Logf("%d events in %s, digest %016x", told.Events, told.Took.Round(time.Millisecond), told.Trail)
		return true
	})
}
