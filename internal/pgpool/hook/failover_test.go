package hook

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

func event012(failed, primary, choice topology.NodeID) Event {
	return Event{Kind: KindFailover, Failed: failed, OldPrimary: primary, OldMain: primary, NewMain: choice}
}

// lost is the usual event: node 0, the primary, is gone; Pgpool-II's choice is 1.
var lost = event012(0, 0, 1)

func TestFailover(t *testing.T) {
	t.Parallel()
	none, old := topology.NoNode, dead()
	for name, c := range map[string]struct {
		nodes  []*fakeNode
		event  Event
		record Primary
		status string // pgpool_status; empty: no such file
		code   Code
		exit   int
		// primaries must be all that is up and out of recovery at the end.
		primaries []topology.NodeID
		check     func(t *testing.T, w *world, r Result)
	}{
		"a standby failed": {
			nodes: []*fakeNode{primary(), dead(), standby(0x100)}, event: event012(1, 0, 0),
			code: CodeStandbyFailed, primaries: []topology.NodeID{0},
		},
		"the primary failed": {
			nodes: []*fakeNode{dead(), standby(0x200), standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{1},
			check: func(t *testing.T, w *world, _ Result) {
				n := w.nodes[1]
				if !slices.Equal(n.slots, []string{"repool_node0", "repool_node2"}) || !n.checked || w.nodes[0].fenced != 1 {
					t.Errorf("slots %v, checkpoint %v, fenced %d", n.slots, n.checked, w.nodes[0].fenced)
				}
			},
		},
		"the most advanced is not Pgpool-II's choice": {
			nodes: []*fakeNode{dead(), standby(0x100), standby(0x200)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
			check: func(t *testing.T, _ *world, r Result) {
				if !strings.Contains(r.Text, "Pgpool-II's choice was node 1") {
					t.Errorf("text %q", r.Text)
				}
			},
		},
		"equal standbys: Pgpool-II's choice": {
			nodes: []*fakeNode{dead(), standby(0x100), standby(0x100)}, event: event012(0, 0, 2),
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"Pgpool-II's choice died as well": {
			nodes: []*fakeNode{dead(), dead(), standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"Pgpool-II's choice hangs": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, silent: true}, standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"all are dead": {
			nodes: []*fakeNode{dead(), dead(), dead()}, event: lost,
			code: CodeNoCandidate, exit: exit.Unreachable,
		},
		"nobody to promote: the old primary is left running": {
			nodes: []*fakeNode{primary(), dead(), dead()}, event: lost,
			code: CodeNoCandidate, exit: exit.Unreachable, primaries: []topology.NodeID{0},
		},
		"the old primary is alive, detached by hand": {
			nodes: []*fakeNode{primary(), standby(0x100), dead()}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"the old primary is alive and cannot be stopped": {
			nodes: []*fakeNode{{facts: primary().facts, stuck: true}, standby(0x100), dead()}, event: lost,
			code: CodeNotFenced, exit: exit.Refused, primaries: []topology.NodeID{0},
		},
		"the old primary is alive and has no agent": {
			nodes: []*fakeNode{{facts: primary().facts, noAgent: true}, standby(0x100), dead()}, event: lost,
			code: CodeNotFenced, exit: exit.Refused, primaries: []topology.NodeID{0},
		},
		"the old primary's host is gone": {
			nodes: []*fakeNode{{silent: true, noAgent: true}, standby(0x100), dead()}, event: lost,
			code: CodePromoted,
			check: func(t *testing.T, _ *world, r Result) {
				if !strings.Contains(strings.Join(r.Notes, "\n"), "old primary 0 not fenced") {
					t.Errorf("notes %q", r.Notes)
				}
			},
			primaries: []topology.NodeID{0, 1}, // node 0 only hangs here; nobody can tell from outside
		},
		"the old primary hangs, its agent stops it": {
			nodes: []*fakeNode{{facts: primary().facts, silent: true}, standby(0x100), dead()}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"no primary was known, and the failed node is a healthy standby": {
			nodes: []*fakeNode{standby(0x300), standby(0x100), dead()}, event: event012(0, none, 1),
			code: CodePromoted, primaries: []topology.NodeID{1},
			check: func(t *testing.T, w *world, _ Result) {
				if w.nodes[0].fenced != 0 {
					t.Error("the standby was stopped")
				}
			},
		},
		"no primary known, the last one not reported as failed": {
			nodes: []*fakeNode{dead(), standby(0x100), dead()}, event: event012(2, none, 1),
			record: Primary{Node: 0, SystemID: 77, History: topology.History{TLI: 1}},
			code:   CodeStandbyFailed,
		},
		"no primary known, the last one is up": {
			nodes: []*fakeNode{primary(), standby(0x100), dead()}, event: event012(2, none, 1),
			record: Primary{Node: 0, SystemID: 77, History: topology.History{TLI: 1}},
			code:   CodeAlreadyPrimary, primaries: []topology.NodeID{0},
		},
		"a standby of another system identifier": {
			nodes: []*fakeNode{dead(), standby(0x100),
				{facts: Facts{InRecovery: true, SystemID: 5, History: topology.History{TLI: 1},
					Receive: 0x999}}, standby(0x50)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"two system identifiers and no record": {
			nodes: []*fakeNode{dead(), standby(0x100),
				{facts: Facts{InRecovery: true, SystemID: 5, History: topology.History{TLI: 1}, Receive: 0x999}}}, event: lost,
			code: CodeSystemUnclear, exit: exit.Refused,
		},
		"the most advanced has diverged": {
			nodes: []*fakeNode{dead(), {facts: Facts{InRecovery: true, SystemID: 77, History: line2, Receive: 0x3000100}},
				standby(0x3000200)}, event: event012(0, 0, 2),
			code: CodePromoted, primaries: []topology.NodeID{1},
			check: func(t *testing.T, _ *world, r Result) {
				if !strings.Contains(strings.Join(r.Notes, "\n"),
					"node 2: on timeline 1 at 0/3000200, which is not of the lost primary's line") {
					t.Errorf("notes %q", r.Notes)
				}
			},
		},
		"the only one has diverged": {
			nodes: []*fakeNode{dead(), dead(), standby(0x3000200)}, event: lost, record: Primary{Node: 0, SystemID: 77,
				History: line2},
			code: CodeWrongLine, exit: exit.Refused,
		},
		"the only one is behind, on the older timeline": {
			nodes: []*fakeNode{dead(), dead(), standby(0x3000000)}, event: lost, record: Primary{Node: 0, SystemID: 77,
				History: line2},
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"attached before detached, though it has less": {
			nodes: []*fakeNode{dead(), standby(0x100), standby(0x200)}, event: lost, status: "down\nup\ndown\n",
			code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"all are detached, right after a failover": {
			nodes: []*fakeNode{dead(), standby(0x100), standby(0x200)}, event: event012(0, 0, none), status: "up\ndown\ndown\n",
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"a stale primary runs beside": {
			nodes: []*fakeNode{dead(), {facts: Facts{InRecovery: true, SystemID: 77, History: line2, Receive: 0x3000100}},
				primary()}, event: lost,
			record: Primary{Node: 0, SystemID: 77, History: line2},
			code:   CodePromoted, primaries: []topology.NodeID{1, 2},
		},
		"promoted by somebody else": {
			nodes: []*fakeNode{dead(), {facts: Facts{SystemID: 77, History: line2}}, standby(0x100)}, event: lost,
			code: CodeAlreadyPrimary, primaries: []topology.NodeID{1},
		},
		"the old primary is alive, and sends more before it is stopped": {
			nodes: []*fakeNode{{facts: primary().facts, onFence: func(w *world) { w.nodes[2].facts.Receive = 0x300 }},
				standby(0x200), standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"promotion takes a while": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, polls: 4}, standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"the request for promotion is lost": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, onPromote: func(n *fakeNode) error {
				n.onPromote = nil
				return nil
			}}, standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"the best refuses, the second is taken": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, onPromote: func(*fakeNode) error { return ErrNotAsked }},
				standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"the best dies while promoted, the second is taken": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, noAgent: true,
				onPromote: func(n *fakeNode) error { n.down = true; return nil }}, standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"the best never gets there and is stopped": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, onPromote: func(*fakeNode) error { return nil }},
				standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"the best never gets there and cannot be stopped": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, stuck: true,
				onPromote: func(*fakeNode) error { return nil }}, standby(0x100)}, event: lost,
			code: CodeUnconfirmed, exit: exit.Unfinished,
		},
		"recovery ends in the middle of a question": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts,
				unanswered: []error{&pgconn.PgError{Code: "55000", Message: "recovery is not in progress"}}},
				standby(0x200)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"the connection is lost while promoted": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, unanswered: []error{errGone}}, standby(0x200)},
			event: lost, code: CodePromoted, primaries: []topology.NodeID{1},
		},
		"every connection is lost while promoted": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, unanswered: []error{errGone, errGone}},
				standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"the best is restarted while promoted, and forgets the request": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, unanswered: []error{errGone},
				onPromote: func(*fakeNode) error { return nil }}, standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
			check: func(t *testing.T, w *world, _ Result) {
				if !slices.Equal(w.order, []topology.NodeID{1, 2}) {
					t.Errorf("asked to be promoted: %v", w.order)
				}
			},
		},
		"out of recovery, but no new timeline": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts,
				onPromote: func(n *fakeNode) error { n.facts.InRecovery = false; return nil }}, standby(0x100)}, event: lost,
			code: CodePromoted, primaries: []topology.NodeID{2},
		},
		"the old primary comes back while its fence is waited for": {
			nodes: []*fakeNode{{facts: primary().facts, silent: true, away: true}, standby(0x200), standby(0x100)}, event: lost,
			code: CodeNotFenced, exit: exit.Refused, primaries: []topology.NodeID{0},
		},
		"somebody else promotes the best meanwhile": {
			nodes: []*fakeNode{dead(), {facts: standby(0x200).facts, onPromote: func(n *fakeNode) error {
				n.facts = Facts{SystemID: 77, History: line2}
				return ErrNotAsked
			}}, standby(0x100)}, event: lost,
			code: CodeAlreadyPrimary, primaries: []topology.NodeID{1},
		},
		"the best dies while promoted, and the old primary is back": {
			nodes: []*fakeNode{old, {facts: standby(0x200).facts, noAgent: true, onPromote: func(n *fakeNode) error {
				n.down, *old = true, *primary()
				return nil
			}}, standby(0x100)}, event: lost,
			code: CodePrimaryBack, primaries: []topology.NodeID{0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(c.nodes...)
			d := w.deps(t)
			if c.record.known() {
				if err := NotePrimary(d.stateDir(), c.record); err != nil {
					t.Fatal(err)
				}
			}
			if c.status != "" {
				d.Pool.Pgpool.WorkDir = t.TempDir()
				if err := os.WriteFile(filepath.Join(d.Pool.Pgpool.WorkDir, "pgpool_status"), []byte(c.status), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := Failover(t.Context(), d, c.event)
			if r.Code != c.code || exit.Code(err) != c.exit {
				t.Fatalf("code %s, exit %d (%v); want %s, %d\n%s", r.Code, exit.Code(err), err, c.code, c.exit, w.log.String())
			}
			if got := w.primaries(); !slices.Equal(got, c.primaries) {
				t.Errorf("primaries %v, want %v\n%s", got, c.primaries, w.log.String())
			}
			if c.check != nil {
				c.check(t, w, r)
			}
			pending, err := Pending(d.stateDir())
			if err != nil || (len(pending) == 0) != (c.exit == 0) {
				t.Errorf("pending %v, %v", pending, err)
			}
			want := 1 // at the end
			if c.code == CodePromoted {
				want = 2 // and as soon as there is a primary
			}
			if w.pokes != want {
				t.Errorf("the controller was told %d times, want %d", w.pokes, want)
			}
			if text, err := os.ReadFile(filepath.Join(d.stateDir(), "hooks.log")); err != nil ||
				!strings.Contains(string(text), string(c.code)) {
				t.Errorf("hooks.log: %q, %v", text, err)
			}
			if c.code == CodePromoted {
				p, err := readPrimary(d.stateDir())
				if err != nil || p.Node != r.Node || p.History.TLI != w.nodes[r.Node].facts.History.TLI {
					t.Errorf("record of the new primary: %+v, %v", p, err)
				}
			}
		})
	}
}

// A controller's pass that began before a failover ends after it.
func TestAnOlderPassDoesNotUndoTheRecordOfAFailover(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	note := func(node topology.NodeID, at time.Time) topology.NodeID {
		t.Helper()
		if err := NotePrimary(dir, Primary{Node: node, SystemID: 7, History: topology.History{TLI: 1}, At: at}); err != nil {
			t.Fatal(err)
		}
		p, ok := LastPrimary(dir)
		if !ok {
			t.Fatal("nothing on record")
		}
		return p.Node
	}
	if _, ok := LastPrimary(dir); ok {
		t.Error("a record, and nothing was noted")
	}
	note(1, now.Add(-time.Minute))
	if got := note(2, now); got != 2 {
		t.Errorf("node %s on record after the failover", got)
	}
	if got := note(1, now.Add(-time.Second)); got != 2 {
		t.Errorf("node %s on record after an older look", got)
	}
	note(2, now.Add(time.Hour)) // a clock that was set back must not keep it for ever
	if got := note(1, now.Add(time.Millisecond)); got != 1 {
		t.Errorf("node %s on record after a newer look", got)
	}
}

func TestAlwaysPrimaryIsNeverReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(dead(), standby(0x100))
	d := w.deps(t)
	d.Pool.Nodes[0].AlwaysPrimary = true
	if r, err := Failover(t.Context(), d, lost); err != nil || r.Code != CodeAlwaysPrimary || len(w.order) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
