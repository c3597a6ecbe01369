package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// whole is a pool of three that is well, seen so many seconds after noon.
func whole(sec int) control.Status {
	at := noon.Add(time.Duration(sec) * time.Second)
	src := topology.Source{At: at}
	st := control.Status{At: at, Acting: true, Pass: 1,
		Snapshot: topology.Snapshot{Taken: at, Pools: []topology.PoolView{{Source: src, Primary: 0}}}}
	for i := range 3 {
		id := topology.NodeID(i)
		st.Snapshot.Pools[0].Nodes = append(st.Snapshot.Pools[0].Nodes, topology.PoolNode{ID: id, Status: topology.PoolUp})
		st.Snapshot.Nodes = append(st.Snapshot.Nodes, topology.Node{ID: id, Agent: topology.Inspection{Source: src},
			SQL: topology.SQLFacts{Source: src, InRecovery: i > 0, Timeline: 2,
				Receiver: topology.WALReceiver{Status: "streaming", Timeline: 2}}})
		st.Decisions = append(st.Decisions, plan.Decision{Node: id, Code: codes.Healthy, Severity: codes.OK})
		st.Memory.Nodes = append(st.Memory.Nodes, plan.NodeMemory{Node: id})
	}
	return st
}

// without is the same pool, with nodes that Pgpool-II has detached.
func without(sec int, nodes ...int) control.Status {
	st := whole(sec)
	for _, n := range nodes {
		st.Snapshot.Pools[0].Nodes[n].Status = topology.PoolDown
		st.Decisions[n].Code, st.Decisions[n].Reason = codes.StandbyDown, "its server is down"
	}
	return st
}

// silent is the same pool, with node 2 attached and without an answer.
func silent(sec int) control.Status {
	st := whole(sec)
	st.Snapshot.Nodes[2].SQL = topology.SQLFacts{Source: topology.Source{At: st.At, Err: "no answer"}}
	return st
}

// both is the same pool, with one node attached and silent, another detached.
func both(sec, quiet, gone int) control.Status {
	st := without(sec, gone)
	st.Snapshot.Nodes[quiet].SQL = topology.SQLFacts{Source: topology.Source{At: st.At, Err: "no answer"}}
	return st
}

func parked(sec int, at time.Time) control.Status {
	st := without(sec, 1)
	st.Memory.Nodes[1].Parked, st.Memory.Nodes[1].ParkedWhy, st.Memory.Nodes[1].ParkedAt = codes.NoSpace, "5 runs "+
		"failed", at
	return st
}

func blind(sec int) control.Status {
	st := whole(sec)
	st.Snapshot.Pools[0] = topology.PoolView{Source: topology.Source{At: st.At, Err: "refused"}}
	return st
}

func unresponsive(sec int) control.Status {
	st := whole(sec)
	st.Decisions = []plan.Decision{{Node: 1, Code: codes.PoolUnresponsive, Severity: codes.Refused}}
	return st
}

func looking(st control.Status) control.Status {
	st.Acting = false
	return st
}

func vaulted(sec int, v topology.VaultEntry) control.Status {
	st := whole(sec)
	st.Snapshot.Nodes[1].Agent.Run = &topology.RunState{ID: "run1", Node: 1, Vault: &v}
	return st
}

func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seen []control.Status
		want string
	}{
		"nothing of a pool that is well": {[]control.Status{whole(0), whole(1)}, ""},
		"a node that is detached, at once": {[]control.Status{whole(0), without(1, 1),
			without(2, 1), whole(35)}, "redundancy-lost 1 standby-down; redundancy-restored 1"},
		"a node that was missing from the start": {[]control.Status{without(0, 2)}, "redundancy-lost 2 standby-down"},
		"one more": {[]control.Status{without(0, 1), without(1, 1, 2), whole(9)},
			"redundancy-lost 1 standby-down; redundancy-lost 1,2 standby-down; redundancy-restored 1,2"},
		"one less, and again": {[]control.Status{without(0, 1, 2), without(1, 1), without(2, 1, 2)},
			"redundancy-lost 1,2 standby-down; redundancy-lost 1,2 standby-down"},
		"one more, while the first is attached and has yet to stream": {[]control.Status{without(0, 1), both(1, 1, 2),
			both(12, 1, 2)}, "redundancy-lost 1 standby-down; redundancy-lost 1,2 standby-down"},
		"an attached node that is silent, late": {[]control.Status{silent(0), silent(9), silent(10), whole(11)},
			"redundancy-lost 2 healthy; redundancy-restored 2"},
		"not a silence of a moment": {[]control.Status{silent(0), whole(5), silent(6), silent(15)}, ""},
		"nothing while Pgpool-II does not answer": {[]control.Status{without(0, 1), blind(1), without(2, 1)},
			"redundancy-lost 1 standby-down"},
		"nothing by one that only looks": {[]control.Status{looking(without(0, 1)), looking(parked(1, noon))}, ""},
		"a parked node, once for each parking": {[]control.Status{whole(0), parked(1, noon), parked(2, noon), without(3, 1),
			parked(4, noon.Add(time.Second))},
			"redundancy-lost 1 standby-down; node-parked 1 no-space; node-parked 1 no-space"},
		"a Pgpool-II that carries out nothing, once until it does again": {[]control.Status{whole(0), unresponsive(1),
			unresponsive(2), whole(3), unresponsive(4)},
			"pgpool-unresponsive 1 pool-unresponsive; pgpool-unresponsive 1 pool-unresponsive"},
		"lost commits, once for each entry": {[]control.Status{vaulted(0, topology.VaultEntry{ID: "a", Node: 1, Commits: 25}),
			vaulted(1, topology.VaultEntry{ID: "a", Node: 1, Commits: 25}),
			vaulted(2, topology.VaultEntry{ID: "b", Node: 1,
				Missing: "the WAL is gone"})}, "lost-commits-vaulted 1 diverged; lost-commits-vaulted 1 diverged"},
		"no entry without a commit": {[]control.Status{vaulted(0, topology.VaultEntry{ID: "a", Node: 1})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w watch
			var got []string
			for _, st := range c.seen {
				for _, e := range w.status(&st) {
					ids := make([]string, len(e.Nodes))
					for i, n := range e.Nodes {
						ids[i] = n.String()
					}
					got = append(got, strings.TrimSpace(string(e.Kind)+" "+strings.Join(ids, ",")+" "+e.Code))
				}
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("told: %s\nwant: %s", s, c.want)
			}
		})
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	var w watch
	st := without(0, 0, 1, 2)
	if e := w.status(&st); len(e) != 1 || e[0].Text != "The pool has lost nodes 0, 1 and 2: its server is down" {
		t.Errorf("%+v", e)
	}
	st = whole(75)
	if e := w.status(&st); len(e) != 1 || e[0].Text != "All nodes are back after 1m15s" {
		t.Errorf("%+v", e)
	}
	st = parked(80, noon)
	if e := w.status(&st); len(e) != 2 || e[1].Text != "repool has given up on node 1: 5 runs failed" ||
		e[1].Hint != "make room on the node's file system: repool plan says how much is needed" {
		t.Errorf("%+v", e)
	}
}
