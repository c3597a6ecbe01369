package view

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// tale is a history in memory: each event a second after the one before.
type tale struct{ events []event.Event }

func (s *tale) add(node topology.NodeID, kind, code, run string, data any) *tale {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	at := noon.Add(time.Duration(len(s.events)) * time.Second)
	s.events = append(s.events, event.Event{ID: int64(len(s.events) + 1), At: at, Node: node, Kind: kind, Code: code,
		Text: code + " of it", Run: run, Data: b})
	return s
}

func (s *tale) list(f event.Filter) ([]event.Event, error) {
	var out []event.Event
	for _, e := range s.events {
		if (f.Node == nil || *f.Node == e.Node) && (f.Kind == "" || f.Kind == e.Kind) && (f.Code == "" || f.Code == e.Code) &&
			(f.Run == "" || f.Run == e.Run) &&
			!e.At.Before(f.Since) && (f.Until.IsZero() || e.At.Before(f.Until)) {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-f.Limit):], nil
}

// oneFailure is a primary that is lost, fails its first rewind, and is healed
// by the second, amid what happens to others and before and after.
func oneFailure() *tale {
	s := &tale{}
	s.add(0, "decision", "primary", "", nil).add(1, "decision", "healthy", "", nil)
	s.add(2, "run", "started", "r0", nil).add(2, "decision", "healthy", "", nil) // another story
	s.add(0, "decision", "failover-running", "", plan.Decision{Evidence: []string{"it is gone"}})
	s.add(1, "decision", "primary", "", nil)
	s.add(0, "decision", "diverged", "", plan.Decision{Rejected: []plan.Rejection{{Method: topology.MethodAdopt,
		Why: "lost commits"}}, Estimate: plan.Estimate{Bytes: 1 << 20, Seconds: 2}})
	s.add(2, "decision", "wrong-upstream", "", nil)
	s.add(0, "run", "started", "r1", nil)
	s.add(0, "run", "failed", "r1", topology.RunState{ID: "r1", Method: topology.MethodRewind, Outcome: topology.RunFailed,
		BytesDone: 1 << 20,
		Vault:     &topology.VaultEntry{ID: "v1", Commits: 25, Complete: true}, Steps: []topology.StepRun{{Name: "rewind",
			Started: noon, Ended: noon.Add(3 * time.Second), Error: "no"}}})
	s.add(0, "run", "started", "r2", nil)
	s.add(0, "run", "done", "r2", topology.RunState{ID: "r2", Method: topology.MethodRewind, Outcome: topology.RunDone,
		BytesDone: 1 << 20, Vault: &topology.VaultEntry{ID: "v1", Commits: 25, Complete: true}})
	s.add(0, "attach", "ready", "", []string{"level"})
	return s
}

func codesOf(s Story) string {
	var out []string
	for _, p := range s.Parts {
		out = append(out, p.Kind+":"+p.Code)
	}
	return strings.Join(out, " ")
}

func TestStoryFromFirstSignToHealthy(t *testing.T) {
	t.Parallel()
	s := oneFailure().add(0, "decision", "healthy", "", nil).add(0, "decision", "standby-down", "", nil).add(0, "decision",
		"healthy", "", nil)
	for _, run := range []string{"r1", "r2"} { // either run tells the whole
		got, err := Find(run, s.list)
		if err != nil {
			t.Fatal(err)
		}
		want := "decision:failover-running decision:primary decision:diverged run:started run:failed run:started " +
			"run:done attach:ready decision:healthy"
		if codesOf(got) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", run, codesOf(got), want)
		}
		if got.Node != 0 || got.Ending != "healed" || got.To.Sub(got.From) != 9*time.Second || got.Lost != 25 ||
			got.Bytes != 2<<20 || len(got.Runs) != 2 || len(got.Vaults) != 1 {
			t.Errorf("%s: %+v", run, got)
		}
		if want := "node 0 was out for 9.0 s and is healthy again; 2 runs (rewind failed, rewind done); 2.0 MiB moved; " +
			"25 lost commits in the vault"; got.Summary != want {
			t.Errorf("%s: %s", run, got.Summary)
		}
		d := got.Parts[2]
		if !slices.Equal(got.Parts[0].Evidence, []string{"it is gone"}) || len(d.Rejected) != 1 || d.Estimate == "" ||
			d.After != "+2.0 s" || len(got.Parts[4].Steps) != 1 || got.Parts[4].Steps[0].Took != 3*time.Second {
			t.Errorf("%s: facts are missing: %+v", run, got.Parts)
		}
	}
}

func TestStoryWithoutAnEnd(t *testing.T) {
	t.Parallel()
	for ending, s := range map[string]*tale{
		"in progress": oneFailure(),
		"parked":      oneFailure().add(0, "decision", "diverged", "", nil).add(0, "decision", "parked", "", nil),
	} {
		got, err := Find("r2", s.list)
		if err != nil || got.Ending != ending || !got.To.IsZero() {
			t.Errorf("want %s: %s until %s, %v", ending, got.Ending, got.To, err)
		}
	}
}

// TestIncompleteVaultIsSaid: no story may sound better than what is known.
func TestIncompleteVaultIsSaid(t *testing.T) {
	t.Parallel()
	s := (&tale{}).add(0, "decision", "diverged", "", nil).
		add(0, "run", "done", "r1", topology.RunState{ID: "r1", Method: topology.MethodRewind, Outcome: topology.RunDone,
			Vault: &topology.VaultEntry{ID: "v", Missing: "a segment is gone"}})
	got, err := Find("r1", s.list)
	if err != nil || !strings.Contains(got.Summary, "incomplete: a segment is gone") ||
		strings.Contains(got.Summary, "no lost commit") {
		t.Errorf("%q, %v", got.Summary, err)
	}
}
