package hook

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

// sync is what node 0 promised while these nodes were its synchronous standbys.
func syncOf(names string, nodes ...topology.NodeID) *topology.Synchronous {
	s := topology.AnyCouldHold(names, nodes)
	s.Need = topology.SyncNeed(names)
	return s
}

func recordOf(s *topology.Synchronous) Primary {
	return Primary{Node: 0, SystemID: 77, History: topology.History{TLI: 1}, At: time.Now(), Synchronous: s}
}

func TestAcknowledgedCommitsAreKept(t *testing.T) {
	t.Parallel()
	silent := func(pos topology.LSN) *fakeNode { n := standby(pos); n.silent = true; return n }
	lag := uint64(0x40)
	for name, c := range map[string]struct {
		nodes  []*fakeNode
		record Primary
		rules  config.FailoverRules
		code   Code
		node   topology.NodeID
	}{
		"an asynchronous standby is ahead": {
			nodes:  []*fakeNode{dead(), standby(0x100), standby(0x200)},
			record: recordOf(syncOf("node1", 1)), code: CodePromoted, node: 1},
		"the synchronous one does not answer": {
			nodes:  []*fakeNode{dead(), silent(0x100), standby(0x200)},
			record: recordOf(syncOf("node1", 1)), code: CodeSynchronousMissing},
		"FIRST 2: one of the two has it all": {
			nodes:  []*fakeNode{dead(), dead(), standby(0x200), standby(0x300)},
			record: recordOf(syncOf("FIRST 2 (a, b, c)", 1, 2)), code: CodePromoted, node: 2},
		"ANY 1 of three: two answers are too few": {
			nodes:  []*fakeNode{dead(), dead(), standby(0x200), standby(0x300)},
			record: recordOf(syncOf("ANY 1 (*)", 1, 2, 3)), code: CodeSynchronousMissing},
		"ANY 2 of three: two answers are enough, and the one with more": {
			nodes:  []*fakeNode{dead(), dead(), standby(0x200), standby(0x300)},
			record: recordOf(syncOf("ANY 2 (*)", 1, 2, 3)), code: CodePromoted, node: 3},
		"ANY 1 of one: the other is no matter": {
			nodes:  []*fakeNode{dead(), dead(), standby(0x200), standby(0x300)},
			record: recordOf(syncOf("ANY 1 (*)", 2)), code: CodePromoted, node: 2},
		"a member that is no node of the pool never answers": {
			nodes:  []*fakeNode{dead(), standby(0x200)},
			record: recordOf(syncOf("ANY 1 (*)", 1, topology.NoNode)), code: CodeSynchronousMissing},
		"not on record, and the standbys have the setting": {
			nodes: []*fakeNode{dead(), {facts: Facts{InRecovery: true, SystemID: 77, History: topology.History{TLI: 1},
				Receive: 0x100, SyncNames: "*"}}, dead()},
			record: recordOf(nil), code: CodeSynchronousMissing},
		"nothing is promised": {
			nodes:  []*fakeNode{dead(), dead(), standby(0x200)},
			record: recordOf(&topology.Synchronous{}), code: CodePromoted, node: 2},
		"never": {
			nodes:  []*fakeNode{dead(), dead(), standby(0x200)},
			record: recordOf(syncOf("node1", 1)), rules: config.FailoverRules{Synchronous: config.SyncNever},
			code: CodePromoted, node: 2},
		"always, and nothing is promised": {
			nodes:  []*fakeNode{dead(), standby(0x200)},
			record: recordOf(&topology.Synchronous{}), rules: config.FailoverRules{Synchronous: config.SyncAlways},
			code: CodeSynchronousMissing},
		"too few answers": {
			nodes:  []*fakeNode{dead(), standby(0x200), dead()},
			record: recordOf(nil), rules: config.FailoverRules{MinAnswers: 2}, code: CodeTooFewAnswers},
		"enough answers": {
			nodes:  []*fakeNode{dead(), standby(0x200), standby(0x100)},
			record: recordOf(nil), rules: config.FailoverRules{MinAnswers: 2}, code: CodePromoted, node: 1},
		"too far behind": {
			nodes:  []*fakeNode{dead(), standby(0x200)},
			record: Primary{Node: 0, SystemID: 77, History: topology.History{TLI: 1}, At: time.Now(), Position: 0x300},
			rules:  config.FailoverRules{MaxLag: &lag}, code: CodeTooFarBehind},
		"near enough": {
			nodes:  []*fakeNode{dead(), standby(0x200)},
			record: Primary{Node: 0, SystemID: 77, History: topology.History{TLI: 1}, At: time.Now(), Position: 0x240},
			rules:  config.FailoverRules{MaxLag: &lag}, code: CodePromoted, node: 1},
		"a limit, and the position is not on record": {
			nodes:  []*fakeNode{dead(), standby(0x200)},
			record: recordOf(nil), rules: config.FailoverRules{MaxLag: &lag}, code: CodeTooFarBehind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(c.nodes...)
			d := w.deps(t)
			d.Pool.Failover = c.rules
			if err := NotePrimary(d.stateDir(), c.record); err != nil {
				t.Fatal(err)
			}
			r, err := Failover(t.Context(), d, lost)
			if r.Code != c.code || r.Code == CodePromoted && r.Node != c.node {
				t.Fatalf("%s of node %s, want %s of node %s: %s", r.Code, r.Node, c.code, c.node, r.Text)
			}
			if c.code == CodePromoted {
				return
			}
			if exit.Code(err) != exit.Refused || len(w.order) != 0 || w.nodes[0].fenced != 0 {
				t.Errorf("%v; asked to promote: %v; fenced %d times", err, w.order, w.nodes[0].fenced)
			}
			if told := Refused(d.stateDir()); string(told.Code) != string(c.code) ||
				!strings.Contains(told.Text, `-p 5432 -d postgres -c "SELECT pg_promote()"`) {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// The synchronous standby hangs for a while; the asynchronous one answers at once, and is ahead.
func TestTheSynchronousStandbyIsWaitedFor(t *testing.T) {
	t.Parallel()
	late := standby(0x100)
	late.silent = true
	w := newWorld(dead(), late, standby(0x200))
	d := w.deps(t)
	d.Pool.Failover.Wait = 30 * time.Second
	if err := NotePrimary(d.stateDir(), recordOf(syncOf("node1", 1))); err != nil {
		t.Fatal(err)
	}
	d.Out = whenSaid{w, "waiting for", func() { w.mu.Lock(); late.silent = false; w.mu.Unlock() }}
	r, err := Failover(t.Context(), d, lost)
	if err != nil || r.Code != CodePromoted || r.Node != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// While a standby is waited for, the primary comes back with everything.
func TestThePrimaryComesBackWhileAStandbyIsWaitedFor(t *testing.T) {
	t.Parallel()
	old := dead()
	old.facts = primary().facts
	w := newWorld(old, dead(), standby(0x200))
	d := w.deps(t)
	d.Pool.Failover.Wait = 30 * time.Second
	if err := NotePrimary(d.stateDir(), recordOf(syncOf("node1", 1))); err != nil {
		t.Fatal(err)
	}
	d.Out = whenSaid{w, "waiting for", func() { w.mu.Lock(); old.down = false; w.mu.Unlock() }}
	r, err := Failover(t.Context(), d, lost)
	if err != nil || r.Code != CodePrimaryBack || old.fenced != 0 || len(w.order) != 0 {
		t.Errorf("%+v, %v, fenced %d", r, err, old.fenced)
	}
}

// whenSaid does something when a line with that text is written.
type whenSaid struct {
	w    *world
	text string
	do   func()
}

func (o whenSaid) Write(b []byte) (int, error) {
	if strings.Contains(string(b), o.text) {
		o.do()
	}
	return o.w.Write(b)
}

// Who is synchronous on a primary that the hook has just promoted, nobody has seen.
func TestANewPrimarysStandbysMayAllBeSynchronous(t *testing.T) {
	t.Parallel()
	next := standby(0x100)
	next.facts.SyncNames = "ANY 1 (*)"
	w := newWorld(dead(), next, standby(0x80))
	d := w.deps(t)
	if err := NotePrimary(d.stateDir(), recordOf(syncOf("node1", 1))); err != nil {
		t.Fatal(err)
	}
	if r, err := Failover(t.Context(), d, lost); err != nil || r.Node != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	p, ok := LastPrimary(d.stateDir())
	if !ok || !p.Synchronous.Has(0) || !p.Synchronous.Has(2) || p.Synchronous.Has(1) || p.Synchronous.Answers() != 2 {
		text, _ := os.ReadFile(d.stateDir() + "/primary.json")
		t.Errorf("record: %s", text)
	}
}

// A controller sees, while the hook waits for an answer, that another standby has become
// synchronous: the hook goes by that, and not by what it read when it began.
func TestThePromiseOfTheMomentCounts(t *testing.T) {
	t.Parallel()
	joined, hangs := standby(0x200), standby(0x100)
	hangs.silent = true
	w := newWorld(dead(), hangs, joined)
	d := w.deps(t)
	d.Pool.Failover.Wait = 20 * time.Second
	if err := NotePrimary(d.stateDir(), recordOf(syncOf("ANY 1 (*)", 1))); err != nil {
		t.Fatal(err)
	}
	asked := 0
	joined.onFacts = func(*fakeNode) {
		if asked++; asked != 2 {
			return
		}
		hangs.silent = false
		if err := NotePrimary(d.stateDir(), recordOf(syncOf("ANY 1 (*)", 1, 2))); err != nil {
			t.Error(err)
		}
	}
	if r, err := Failover(t.Context(), d, lost); err != nil || r.Code != CodePromoted || r.Node != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}
