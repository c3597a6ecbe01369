package crashpoints

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/node/resync"
)

var (
	full   = flag.Bool("full", false, "try every death at each point, not one")
	only   = flag.String("points", "", "try only the points that match this regular `expression`")
	pools  = flag.Int("pools", 2, "`number` of pools side by side")
	report = flag.String("report", "", "write the table of endings, and one of the steps, to this `file`")
)

// trials are what is to be tried, in the order of the points.
func trials(full bool, only *regexp.Regexp) []trial {
	var out []trial
	turn := 0
	for _, name := range resync.AllPoints() {
		_, reason, _ := wayTo(name)
		if reason != "" || only != nil && !only.MatchString(name) {
			continue
		}
		all := deaths(name)
		if !full && only == nil && len(all) > 1 { // by turns
			all = all[turn%len(all):][:1]
			turn++
		}
		for _, d := range all {
			out = append(out, trial{name, d})
		}
	}
	return out
}

// deaths are those worth trying at a point. What dies beside the agent matters
// where the directory is away from its place.
func deaths(name string) []death {
	p := parse(name)
	out := []death{agentAlone}
	if !p.inner() || !p.destructive() {
		return out
	}
	out = append(out, controller, powerCut)
	if p.part == "progress" && p.step != "vault" {
		out = append(out, programs)
	}
	return out
}

// TestEveryPointHasAWay: a step that is new to the engine must get a way to its
// points, or a reason why none leads there.
func TestEveryPointHasAWay(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, name := range resync.AllPoints() {
		w, reason, ok := wayTo(name)
		switch {
		case !ok:
			t.Errorf("%s: no way leads there, and there is no reason why", name)
		case reason == "" && len(w.stages) == 0:
			t.Errorf("%s: its way has no stage", name)
		}
		used[parse(name).key()], used[parse(name).method] = true, true
		for i, s := range w.stages {
			if end := i == len(w.stages)-1; end != (s.dies == "") || !end && !slices.Contains(resync.AllPoints(), s.dies) {
				t.Errorf("%s: stage %d of its way ends at %q", name, i, s.dies)
			}
		}
	}
	for key := range ways {
		if !used[key] {
			t.Errorf("there is a way to %s, and no such point", key)
		}
		if unreached[key] != "" {
			t.Errorf("there is a way to %s, and a reason why there is none", key)
		}
	}
	for key := range unreached {
		if !used[key] {
			t.Errorf("there is a reason for %s, and no such point", key)
		}
	}
}

// session is one run of the test.
type session struct {
	begun time.Time
	todo  int

	mu      sync.Mutex
	endings []ending
}

// work tries what is in the queue on a pool of its own.
func (s *session) work(t *testing.T, script string, queue <-chan trial) {
	if len(queue) == 0 {
		return
	}
	b := newBench(t, script)
	if _, err := b.whole(time.Now()); err != nil {
		t.Fatal(err)
	}
	for c := range queue {
		e := b.try(c)
		s.mu.Lock()
		s.endings = append(s.endings, e)
		t.Logf("%4d/%d %-42s %-20s %5.1fs  %s", len(s.endings), s.todo, e.point, e.death, e.took.Seconds(), e.how)
		s.mu.Unlock()
		for _, bad := range e.bad {
			t.Errorf("%s (%s): %s", e.point, e.death, bad)
		}
	}
}

// TestCrashPoints tries the points on real pools and prints the endings.
func TestCrashPoints(t *testing.T) {
	var re *regexp.Regexp
	if *only != "" {
		re = regexp.MustCompile(*only)
	}
	todo := trials(*full, re)
	s := &session{begun: time.Now(), todo: len(todo)}
	queue, customs := make(chan trial, len(todo)), make(chan trial, len(todo))
	for _, c := range todo {
		if w, _, _ := wayTo(c.point); w.custom {
			customs <- c
		} else {
			queue <- c
		}
	}
	close(queue)
	close(customs)
	t.Run("pools", func(t *testing.T) {
		for i := range *pools {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				if i == 0 {
					t.Run("custom", func(t *testing.T) { s.work(t, ownResync(t), customs) })
				}
				t.Run("built-in", func(t *testing.T) { s.work(t, "", queue) })
			})
		}
	})
	table := render(s.endings, *full && re == nil)
	fmt.Print(table)
	table = condense(s.endings) + "\n" + table
	if *report != "" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(*report), 0o755),
			os.WriteFile(*report, []byte(table), 0o644)); err != nil {
			t.Error(err)
		}
	}
	fmt.Printf("%d of %d trials, %d points, in %s\n", len(s.endings), len(todo), distinct(s.endings),
		time.Since(s.begun).Round(time.Second))
	if len(s.endings) != len(todo) {
		t.Errorf("%d of %d trials were made", len(s.endings), len(todo))
	}
}

func TestStepsAreCondensed(t *testing.T) {
	t.Parallel()
	end := func(point string, d death, how string) ending { return ending{trial: trial{point, d}, how: how} }
	got := condense([]ending{
		end("rewind:rewind:before", agentAlone, "attached by rewind"),
		end("rewind:rewind:cleared", agentAlone, "attached by rewind"),
		end("rewind:rewind:cleared", powerCut, "attached by rewind"),
		end("rewind:rewind:marked", agentAlone, "attached by base-backup"),
		end("rewind:rewind:effect", agentAlone, "attached"),
		end("rewind:rewind:effect", powerCut, "attached by base-backup"),
	})
	want := "| rewind:rewind | 6 | rewind: before, cleared; base-backup: marked, effect (power cut); nothing was left " +
		"to do: effect (agent) |\n"
	if _, row, _ := strings.Cut(got, "|---|---|---|\n"); row != want {
		t.Errorf("got  %swant %s", row, want)
	}
}
