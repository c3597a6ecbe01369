package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutantWorlds is how many worlds may pass before a mutant must be found.
const mutantWorlds = 400

// caught is what a mutant's worlds broke first.
type caught struct {
	Promise string
	Text    string
	Seed    uint64
	Worlds  int
}

// TestMutants builds repool wrongly, in each of the ways of the table, and
// wants the worlds to break the promise that stands there.
func TestMutants(t *testing.T) {
	t.Parallel()
	if os.Getenv(underTest) != "" {
		t.Fatal("a mutant does not test mutants")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "mutants.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-overlay", overlay(t, dir), "-o",
		bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var mu sync.Mutex
	found := map[string]caught{}
	slots := make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))
	var all sync.WaitGroup
	only := os.Getenv("MUTANT")
	for _, m := range mutants {
		if only != "" && !strings.Contains(m.name, only) {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			begun := time.Now()
			c, err := runMutant(t, bin, m)
			mu.Lock()
			defer mu.Unlock()
			found[m.name] = c
			switch {
			case err != nil:
				t.Errorf("%s: %v", m.name, err)
			case c.Promise != m.promise:
				t.Errorf("%s: broke %q in world %d (seed %d), want %s: %s", m.name, c.Promise, c.Worlds, c.Seed, m.promise, c.Text)
			default:
				t.Logf("%-55s %-12s %4d worlds, %.1fs: %s", m.name, c.Promise, c.Worlds, time.Since(begun).Seconds(), c.Text)
			}
		})
	}
	all.Wait()
	if *update && !t.Failed() && only == "" {
		writeSection(t, "mutants", mutantTable(found))
	}
}

// mark begins the line in which a mutant's process tells what was caught.
const mark = "caught: "

// runMutant plays worlds with one mutant until one breaks a promise.
func runMutant(t *testing.T, bin string, m mutant) (caught, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, "-test.run=^TestOneMutant$", "-test.v", "-test.cpu=1")
	cmd.Env = append(os.Environ(), underTest+"="+m.name, "GOGC=400")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return caught{}, err
	}
	_, line, ok := strings.Cut(string(out), mark)
	if !ok {
		return caught{}, fmt.Errorf("nothing was caught: %v\n%s", err, out[max(0, len(out)-2000):])
	}
	line, _, _ = strings.Cut(line, "\n")
	var c caught
	return c, json.Unmarshal([]byte(line), &c)
}

// TestOneMutant is a mutant's own process. In an ordinary build no world breaks
// a promise, and one is enough.
func TestOneMutant(t *testing.T) {
	worlds := int(number(t, "MUTANT_WORLDS", mutantWorlds))
	if os.Getenv(underTest) == "" {
		worlds = 1
	}
	n := 0
	playMany(t, mutantSeed, worlds, func(t *testing.T, o Outcome, _ func(Options) Outcome) bool {
		n++
		if o.Violation == nil {
			return true
		}
		text, err := json.Marshal(caught{Promise: o.Violation.Promise, Text: o.Violation.Text, Seed: o.Seed, Worlds: n})
		if err != nil {
			t.Error(err)
		}
		fmt.Println(mark + string(text))
		return false
	})
}

// mutantSeed is where the mutants' worlds begin.
const mutantSeed = 1_000_000
