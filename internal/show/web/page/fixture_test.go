package page

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// stage is a pool on paper: the Source and the Actor of a page under test.
type stage struct {
	mu     sync.Mutex
	st     control.Status
	events []event.Event
	asked  []string
	refuse error
}

func (s *stage) Status() control.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st
}

// change changes the published state, as a pass would.
func (s *stage) change(f func(*control.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.st
	st.Snapshot.Nodes, st.Decisions = slices.Clone(st.Snapshot.Nodes), slices.Clone(st.Decisions)
	st.Snapshot.Pools = slices.Clone(st.Snapshot.Pools)
	for i := range st.Snapshot.Pools {
		st.Snapshot.Pools[i].Nodes = slices.Clone(st.Snapshot.Pools[i].Nodes)
	}
	st.Pass++
	st.At = time.Now()
	f(&st)
	s.st = st
}

func (s *stage) History(_ context.Context, f event.Filter) ([]event.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []event.Event
	for _, e := range s.events {
		if (f.Node == nil || *f.Node == e.Node) && (f.Kind == "" || f.Kind == e.Kind) && (f.Code == "" || f.Code == e.Code) &&
			(f.Run == "" || f.Run == e.Run) &&
			(f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until)) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b event.Event) int { return a.At.Compare(b.At) })
	return out[max(0, len(out)-max(1, f.Limit)):], nil
}

func (s *stage) ask(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
	return s.refuse
}

func (s *stage) Hold(_ context.Context, r control.HoldRequest) error {
	return s.ask("hold %s %q %s until %v", r.Node, r.Why, r.Who, !r.Until.IsZero())
}

func (s *stage) Release(_ context.Context, node topology.NodeID, who string) error {
	return s.ask("release %s %s", node, who)
}

func (s *stage) Resync(_ context.Context, r control.ResyncRequest) error {
	return s.ask("resync %s %q %s", r.Node, r.Method, r.Who)
}

func (s *stage) Attach(_ context.Context, r control.NodeRequest) error {
	return s.ask("attach %s %s", r.Node, r.Who)
}

func (s *stage) Detach(_ context.Context, r control.NodeRequest) error {
	return s.ask("detach %s %q %s", r.Node, r.Why, r.Who)
}

// healthy is a pool of that many nodes in which node 0 is the primary.
func healthy(nodes int) *stage {
	now := time.Now()
	at := topology.Source{At: now}
	s := &stage{st: control.Status{At: now, Started: now.Add(-time.Hour), Version: "0.1.0", PID: 1, Acting: true, Pass: 7}}
	view := topology.PoolView{Source: at, Endpoint: "10.0.0.9:9898", Primary: 0}
	for i := range nodes {
		id := topology.NodeID(i)
		n := topology.Node{ID: id, Host: fmt.Sprintf("db%d.example.org", i), Port: 5432, AppName: fmt.Sprintf("node%d", i),
			Agent: topology.Inspection{Source: at, Dir: topology.DirPresent, Server: topology.ServerRunning},
			SQL: topology.SQLFacts{Source: at, InRecovery: i > 0, Timeline: 3, Current: 0x5A01F28, Replay: 0x5A01F28,
				Receiver: topology.WALReceiver{}}}
		d := plan.Decision{Node: id, Action: plan.None, Code: codes.Primary, Severity: codes.OK,
			Reason: "the primary, on timeline 3 at 0/5A01F28", Upstream: topology.NoNode}
		v := topology.PoolNode{ID: id, Status: topology.PoolUp, Role: "primary"}
		if i > 0 {
			n.SQL.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: "db0.example.org", SenderPort: 5432,
				Timeline: 3}
			d.Code, d.Reason, d.Upstream = codes.Healthy, fmt.Sprintf("node %d streams from node 0 and is attached", i), 0
			v.Role = "standby"
		}
		s.st.Snapshot.Nodes = append(s.st.Snapshot.Nodes, n)
		s.st.Decisions = append(s.st.Decisions, d)
		view.Nodes = append(view.Nodes, v)
		s.event(-time.Hour, id, "decision", string(d.Code), d.Reason, "", d)
	}
	s.st.Snapshot.Pools, s.st.Snapshot.Taken = []topology.PoolView{view}, now
	s.event(-time.Hour, topology.NoNode, "controller", "started", "controller started, version 0.1.0", "", nil)
	return s
}

func (s *stage) event(ago time.Duration, node topology.NodeID, kind, code, text, run string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	s.events = append(s.events, event.Event{ID: int64(len(s.events) + 1), At: time.Now().Add(ago), Node: node,
		Kind: kind, Code: code, Text: text, Run: run, Data: b})
}

// down makes a node one whose server is stopped and that is detached.
func down(st *control.Status, id topology.NodeID) {
	n := &st.Snapshot.Nodes[id]
	n.SQL = topology.SQLFacts{Source: topology.Source{At: time.Now(), Err: "connection refused"}, Refused: true}
	n.Agent.Server = topology.ServerStopped
	n.Agent.History = topology.History{TLI: 2}
	for i := range st.Snapshot.Pools {
		st.Snapshot.Pools[i].Nodes[id].Status = topology.PoolDown
		st.Snapshot.Pools[i].Nodes[id].Role = "standby"
	}
}

func decide(st *control.Status, d plan.Decision) { st.Decisions[d.Node] = d }

// promoted makes node 1 the primary, with node 0 down.
func promoted(st *control.Status) {
	down(st, 0)
	for i := range st.Snapshot.Nodes {
		if n := &st.Snapshot.Nodes[i]; i > 1 {
			n.SQL.Receiver.SenderHost, n.SQL.Receiver.Timeline, n.SQL.Timeline = "db1.example.org", 4, 4
		}
	}
	n := &st.Snapshot.Nodes[1]
	n.SQL.InRecovery, n.SQL.Timeline, n.SQL.Receiver, n.SQL.Current = false, 4, topology.WALReceiver{}, 0x5B00000
	decide(st, plan.Decision{Node: 1, Code: codes.Primary, Severity: codes.OK,
		Reason: "the primary, on timeline 4 at 0/5B00000", Upstream: topology.NoNode})
	for i := range st.Snapshot.Pools {
		st.Snapshot.Pools[i].Primary = 1
		st.Snapshot.Pools[i].Nodes[1].Role = "primary"
	}
}

// failover is the moment after a primary was killed: node 1 is the new one,
// node 2 still asks the dead one for WAL.
func failover() *stage {
	s := healthy(3)
	s.change(func(st *control.Status) {
		promoted(st)
		n := &st.Snapshot.Nodes[2]
		n.SQL.Receiver = topology.WALReceiver{}
		n.SQL.Timeline, n.SQL.Replay, n.SQL.ReplayLagSeconds = 3, 0x5A00000, 2.4
		decide(st, plan.Decision{Node: 0, Action: plan.Resync, Method: topology.MethodRewind, Code: codes.Diverged,
			Severity: codes.Work, Upstream: 1,
			Reason: "node 0 has WAL of its own past 0/5A01F28 on timeline 3",
			Evidence: []string{"Pgpool-II 10.0.0.9:9898: node 0 is down, its primary is node 1",
				"PostgreSQL: connection refused", "agent: data directory present, server stopped, control file \"in " +
					"production\", timeline 3, checkpoint 0/5000028",
				"lineage: diverged: a valid record of its own at the switch point 0/5A01F28, and the one before it is node 1's"},
			Rejected: []plan.Rejection{{Method: topology.MethodAdopt, Why: "it holds commits that node 1 does not have"}},
			Estimate: plan.Estimate{Bytes: 53 << 20, Seconds: 3.1, Basis: "200 MiB/s"}})
		decide(st, plan.Decision{Node: 2, Action: plan.Resync, Method: topology.MethodFollow, Code: codes.WrongUpstream,
			Severity: codes.Work, Upstream: 1,
			Reason:   "the node is on the primary's line and follows db0.example.org:5432, not node 1",
			Evidence: []string{"PostgreSQL: in recovery, timeline 3, replayed to 0/5A00000, no WAL receiver"}})
	})
	s.event(-3*time.Second, 1, "decision", "primary", "the primary, on timeline 4 at 0/5B00000", "", s.st.Decisions[1])
	s.event(-2*time.Second, 2, "decision", "wrong-upstream", s.st.Decisions[2].Reason, "", s.st.Decisions[2])
	s.event(-2*time.Second, 0, "decision", "diverged", s.st.Decisions[0].Reason, "", s.st.Decisions[0])
	return s
}

// twoPrimaries is a pool in which node 1 was promoted by hand while Pgpool-II goes on with node 0.
func twoPrimaries() *stage {
	s := healthy(3)
	s.change(func(st *control.Status) {
		n := &st.Snapshot.Nodes[1].SQL
		n.InRecovery, n.Timeline, n.Receiver, n.Current = false, 4, topology.WALReceiver{}, 0x5B00000
		for i := range st.Decisions {
			decide(st, plan.Decision{Node: topology.NodeID(i), Action: plan.Wait, Code: codes.PrimaryContested,
				Severity: codes.Refused, Upstream: topology.NoNode,
				Reason: "node 1 accepts writes on timeline 4, while Pgpool-II sends writes to node 0",
				Evidence: []string{"node 0 is out of recovery on timeline 3 at 0/5A01F28",
					"node 1 is out of recovery on timeline 4 at 0/5B00000"}})
		}
	})
	s.event(-3*time.Second, 1, "decision", "primary-contested", s.st.Decisions[1].Reason, "", s.st.Decisions[1])
	return s
}

const runID = "20260501T120000.000-n0-rewind-4"

// rewound is a run of node 0 with that share of its bytes done.
func rewound(share float64) topology.RunState {
	now := time.Now()
	r := topology.RunState{ID: runID, Node: 0, Method: topology.MethodRewind, Upstream: 1, Outcome: topology.RunRunning,
		Started: now.Add(-9 * time.Second), Updated: now,
		BytesTotal: 640 << 20, BytesDone: uint64(share * float64(640<<20)),
		Vault: &topology.VaultEntry{ID: "20260501T120003-n0", Node: 0,
			Path: "/var/lib/postgresql/15/main.repool/vault/20260501T120003-n0", Made: now.Add(-6 * time.Second),
			Diverged: 0x5A01F28, TLI: 3, End: 0x5A09000, Bytes: 32 << 20, Commits: 29, Complete: true}}
	at := r.Started
	for _, step := range []struct {
		name, note string
		took       time.Duration
	}{{"take-stock", "", 40}, {"confirm", "node 1 is the primary on timeline 4", 90}, {"ensure-slot", "repool_node0",
		30}, {"checkpoint-upstream", "", 610}, {"stop-server", "", 20},
		{"move-away", "", 35}, {"vault", "29 lost commits, 32 MiB", 1900}, {"settle", "crash recovery ended at 0/5A09000",
			1400}} {
		end := at.Add(step.took * time.Millisecond)
		r.Steps = append(r.Steps, topology.StepRun{Name: step.name, Started: at, Ended: end, Note: step.note})
		at = end
	}
	r.Steps = append(r.Steps, topology.StepRun{Name: "rewind", Started: at})
	return r
}

// resyncing has a rewind of node 0 under way.
func resyncing(share float64) *stage {
	s := failover()
	s.change(func(st *control.Status) {
		st.Snapshot.Nodes[2].SQL = s.st.Snapshot.Nodes[1].SQL
		n := &st.Snapshot.Nodes[2].SQL
		n.InRecovery, n.Replay, n.Receiver = true, 0x5B00000, topology.WALReceiver{Status: "streaming",
			SenderHost: "db1.example.org", SenderPort: 5432, Timeline: 4}
		decide(st, plan.Decision{Node: 2, Code: codes.Healthy, Severity: codes.OK,
			Reason: "node 2 streams from node 1 and is attached", Upstream: 1})
		r := rewound(share)
		st.Snapshot.Nodes[0].Agent.Run, st.Snapshot.Nodes[0].Agent.Dir = &r, topology.DirInRepair
		d := st.Decisions[0]
		d.Action, d.Code, d.Reason = plan.Wait, codes.Resyncing, "a rewind from node 1 is in progress, at step rewind"
		decide(st, d)
	})
	s.event(-time.Second, 0, "run", "started",
		"rewind from node 1 started: node 0 has WAL of its own past 0/5A01F28 on timeline 3", runID, s.st.Decisions[0])
	return s
}

// parked has given up on node 2, and node 1 is on hold.
func parked() *stage {
	s := healthy(4)
	s.change(func(st *control.Status) {
		down(st, 2)
		decide(st, plan.Decision{Node: 2, Code: codes.Parked, Severity: codes.Refused, Upstream: 0,
			Hint: "end the cause, then: repool release 2",
			Reason: "repool has given up on node 2 after 5 failed runs, the last with start-failed: the node's server did " +
				"not start",
			Evidence: []string{"Pgpool-II 10.0.0.9:9898: node 2 is down, its primary is node 0",
				"PostgreSQL: connection refused",
				"agent: data directory present, server stopped, control file \"shut down in recovery\", timeline 3, checkpoint " +
					"0/5000028, standby.signal present"}})
		st.Memory.Nodes = []plan.NodeMemory{{Node: 2, Parked: codes.StartFailed,
			ParkedAt: time.Now().Add(-40 * time.Minute)}}
		decide(st, plan.Decision{Node: 3, Code: codes.OnHold, Severity: codes.Refused, Upstream: 0,
			Reason: "node 3 is held by ann: new disk", Hint: "repool release 3"})
		st.Memory.Holds = []plan.Hold{{Node: 3, Who: "ann", Why: "new disk", Since: time.Now().Add(-2 * time.Hour),
			Until: time.Now().Add(time.Hour)}}
		st.Snapshot.Pools[0].Nodes[3].Status = topology.PoolDown
	})
	done := rewound(1)
	done.Outcome, done.Ended = topology.RunDone, time.Now().Add(-3*time.Hour)
	s.event(-3*time.Hour, 0, "run", "done", "rewind done in 12.29s, 53 MiB moved, 29 lost commits in the vault", runID,
		done)
	s.event(-40*time.Minute, 2, "decision", "parked", s.st.Decisions[2].Reason, "", s.st.Decisions[2])
	s.event(-2*time.Hour, 3, "hold", "on-hold", "held by ann: new disk", "", nil)
	return s
}

// sixty is a large pool in which one node is rewound, one is lost, and one
// streams from another standby.
func sixty() *stage {
	s := healthy(60)
	s.change(func(st *control.Status) {
		down(st, 17)
		r := rewound(0.4)
		r.Node, r.Upstream = 17, 0
		st.Snapshot.Nodes[17].Agent.Run = &r
		decide(st, plan.Decision{Node: 17, Action: plan.Wait, Method: topology.MethodRewind, Code: codes.Resyncing,
			Severity: codes.Work, Upstream: 0, Reason: "a rewind from node 0 is in progress, at step rewind"})
		down(st, 42)
		decide(st, plan.Decision{Node: 42, Code: codes.AgentUnreachable, Severity: codes.Refused,
			Reason: "node 42's agent does not answer", Hint: "start repool agent on the node's host"})
		st.Snapshot.Nodes[23].SQL.Receiver.SenderHost = "db22.example.org"
	})
	return s
}

// options are those of a page over the stage.
func (s *stage) options(l Login) Options {
	return Options{Source: s, Act: s, Login: l, Log: slog.New(slog.DiscardHandler)}
}
