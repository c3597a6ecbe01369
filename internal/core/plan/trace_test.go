package plan

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repool/repool/internal/core/topology"
)

var update = flag.Bool("update", false, "rewrite the decisions in testdata/*.trace")

// TestTraces plays the world events of each testdata/*.trace and compares what
// was decided. In a trace, lines that begin with "> " are events, "# " are
// remarks, and all others are the decisions of the last pass.
func TestTraces(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) == 0 {
		t.Fatal("no traces", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".trace"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(b))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(b), got); diff != "" {
				t.Errorf("the decisions changed (-trace +now); read them, then run with -update\n%s", diff)
			}
		})
	}
}

// play runs a trace's events and gives the whole text with fresh decisions.
func play(t *testing.T, trace string) string {
	t.Helper()
	var out strings.Builder
	s := newScene(t)
	for _, line := range strings.Split(strings.TrimRight(trace, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			event(t, s, &out, strings.Fields(line[2:]))
		case line == "" || strings.HasPrefix(line, "# "):
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

// event applies one event to the world. A pass prints its decisions.
func event(t *testing.T, s *scene, out *strings.Builder, f []string) {
	t.Helper()
	id := func(i int) topology.NodeID {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			t.Fatalf("event %v: %v", f, err)
		}
		return topology.NodeID(n)
	}
	switch f[0] {
	case "pass":
		printDecisions(out, s.step())
	case "later":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			t.Fatal(err)
		}
		s.later(d)
	case "stopped":
		s.stopped(id(1))
	case "died": // as a primary, without a clean end
		s.stopped(id(1)).node(id(1)).Agent.StandbySignal = false
		s.node(id(1)).Agent.Control.State = "in production"
	case "lost":
		lost(s, id(1), topology.DirState(f[2]))
	case "detached":
		s.status(id(1), topology.PoolDown)
	case "attached":
		s.status(id(1), topology.PoolWaiting)
	case "pool-primary":
		s.poolPrimary(id(1))
	case "primary":
		at, err := topology.ParseLSN(f[len(f)-1])
		if err != nil {
			t.Fatal(err)
		}
		s.primary(id(1), strings.Join(f[2:len(f)-1], " "), at)
	case "standby":
		s.standby(id(1), id(2))
	case "astray": // still set to follow a node that is gone
		astray(s, id(1))
	case "lineage":
		s.lineage(id(1), id(2), topology.Verdict(f[3]))
	case "replayed":
		at, err := topology.ParseLSN(f[2])
		if err != nil {
			t.Fatal(err)
		}
		s.node(id(1)).SQL.Replay = at
	case "run": // run NODE METHOD OUTCOME STEP UPSTREAM
		s.run(id(1), topology.RunState{ID: strings.Join(f, "-"), Upstream: id(5), Method: topology.Method(f[2]),
			Outcome: topology.Outcome(f[3]), Steps: []topology.StepRun{{Name: f[4]}}, Ended: s.now})
	case "run-over":
		s.node(id(1)).Agent.Run = nil
	default:
		t.Fatalf("unknown event %v", f)
	}
}

func printDecisions(out *strings.Builder, ds []Decision) {
	for _, d := range ds {
		fmt.Fprintf(out, "node %s: %s: %s\n", d.Node, short(d), d.Reason)
		if d.Action != Resync {
			continue
		}
		fmt.Fprintf(out, "    costs %s, about %.1f s\n", size(d.Estimate.Bytes), d.Estimate.Seconds)
		for _, r := range d.Rejected {
			fmt.Fprintf(out, "    not %s: %s\n", r.Method, r.Why)
		}
	}
}
