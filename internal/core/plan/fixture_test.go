package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

const (
	sys      topology.SystemID = 7189234567890123456
	otherSys topology.SystemID = 7000000000000000001
	gib                        = uint64(1) << 30
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// hist builds a history from "1@0/5000000 2".
func hist(text string) topology.History {
	var h topology.History
	for _, f := range strings.Fields(text) {
		tli, at, left := strings.Cut(f, "@")
		n := topology.TimelineID(0)
		for _, c := range tli {
			n = n*10 + topology.TimelineID(c-'0')
		}
		if !left {
			h.TLI = n
			break
		}
		l, err := topology.ParseLSN(at)
		if err != nil {
			panic(err) // a mistake in a test's literal
		}
		h.Ancestors = append(h.Ancestors, topology.HistoryEntry{TLI: n, Switch: l})
	}
	return h
}

// scene is a pool of three nodes that a test changes step by step. It begins
// well: node 0 the primary on timeline 1, nodes 1 and 2 streaming from it.
type scene struct {
	t    testing.TB
	mem  Memory
	snap topology.Snapshot
	pol  Policy
	now  time.Time
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, pol: DefaultPolicy(), now: start, mem: Memory{Primary: topology.NoNode}}
	s.snap.Pools = []topology.PoolView{{Endpoint: "localhost:9898", Primary: 0}}
	for id := range topology.NodeID(3) {
		s.snap.Nodes = append(s.snap.Nodes, topology.Node{ID: id, Host: "10.0.0.1" + id.String(), Port: 5432})
		s.snap.Pools[0].Nodes = append(s.snap.Pools[0].Nodes, topology.PoolNode{ID: id, Status: topology.PoolUp,
			Role: "standby", LastChange: start.Add(-time.Hour)})
	}
	s.primary(0, "1", 0x5000000)
	s.standby(1, 0).standby(2, 0)
	s.fresh()
	return s
}

func (s *scene) node(id topology.NodeID) *topology.Node { return s.snap.Node(id) }

// fresh makes every fact that has been given a value of now.
func (s *scene) fresh() {
	s.snap.Taken = s.now
	for i := range s.snap.Pools {
		s.snap.Pools[i].At = s.now
	}
	for i := range s.snap.Nodes {
		n := &s.snap.Nodes[i]
		for _, src := range []*topology.Source{&n.SQL.Source, &n.Agent.Source, &n.Lineage.Source} {
			if !src.At.IsZero() {
				src.At = s.now
			}
		}
	}
}

func (s *scene) sql(id topology.NodeID) *topology.SQLFacts {
	n := s.node(id)
	n.SQL = topology.SQLFacts{Source: topology.Source{At: s.now}, SystemID: sys, Version: 150018, DatabaseBytes: gib,
		Settings: map[string]string{"max_connections": "100", "max_wal_senders": "10", "max_replication_slots": "10",
			"full_page_writes": "on"}}
	return &n.SQL
}

func (s *scene) agent(id topology.NodeID) *topology.Inspection {
	n := s.node(id)
	n.Agent = topology.Inspection{Source: topology.Source{At: s.now}, Dir: topology.DirPresent, Version: 15,
		Server:   topology.ServerRunning,
		Control:  &topology.Control{SystemID: sys, State: "in production", Timeline: 1, Checksums: true},
		WALBytes: 64 << 20, DataBytes: gib, FreeBytes: 100 * gib,
		HotStandby: map[string]int{"max_connections": 100, "max_wal_senders": 10}}
	return &n.Agent
}

// primary makes the node accept writes on that line.
func (s *scene) primary(id topology.NodeID, line string, at topology.LSN) *scene {
	h := hist(line)
	f := s.sql(id)
	f.Timeline, f.Current = h.TLI, at
	s.agent(id).History = h
	s.node(id).Lineage = topology.Lineage{}
	return s
}

// standby makes the node stream from up, level with it and on its line.
func (s *scene) standby(id, up topology.NodeID) *scene {
	p := s.node(up)
	f := s.sql(id)
	f.InRecovery, f.Timeline, f.Receive, f.Replay = true, p.SQL.Timeline, p.SQL.Current, p.SQL.Current
	f.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: p.Host, SenderPort: p.Port,
		Timeline: p.SQL.Timeline}
	a := s.agent(id)
	a.StandbySignal, a.History = true, p.Agent.History
	a.Control.State = "in archive recovery"
	a.UpstreamHost, a.UpstreamPort, a.UpstreamSlot = p.Host, p.Port, "repool_node"+id.String()
	return s.lineage(id, up, topology.LineageOnLine)
}

// lineage gives the verdict on the node against up.
func (s *scene) lineage(id, up topology.NodeID, v topology.Verdict) *scene {
	s.node(id).Lineage = topology.Lineage{Source: topology.Source{At: s.now}, Primary: up, Verdict: v, Point: 0x5000000,
		TLI: 1, Proof: "as the test says"}
	if v == topology.LineageOnLine {
		s.node(id).Lineage.ProvenTo = 0x5000000
	}
	if v == topology.LineageDiverged {
		s.node(id).Lineage.ProvenTo = 0x5000000
		s.node(id).Lineage.OwnBytes, s.node(id).Lineage.RewindWAL = 9000, true
	}
	return s
}

// stopped makes the node's server go away; its directory stays as it is.
func (s *scene) stopped(id topology.NodeID) *scene {
	n := s.node(id)
	n.SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "connection refused"}, Refused: true}
	n.Agent.Server = topology.ServerStopped
	return s
}

// status is Pgpool-II's opinion of the node.
func (s *scene) status(id topology.NodeID, st topology.PoolStatus) *scene {
	v := s.snap.Pools[0].Node(id)
	v.Status, v.LastChange = st, s.now
	return s
}

func (s *scene) poolPrimary(id topology.NodeID) *scene { s.snap.Pools[0].Primary = id; return s }

// promoted is the state after a failover to node id at 0/5000000: the old
// primary is down and detached, id is the primary, other nodes are untouched.
func (s *scene) promoted(id topology.NodeID) *scene {
	s.stopped(0).status(0, topology.PoolDown)
	s.node(0).Agent.Control.State = "in production"
	s.primary(id, "1@0/5000000 2", 0x5001000).poolPrimary(id)
	return s
}

// learn runs one pass for its memory.
func (s *scene) learn() *scene {
	s.t.Helper()
	s.step()
	return s
}

// later lets time go by; the facts are taken again.
func (s *scene) later(d time.Duration) *scene {
	s.now = s.now.Add(d)
	s.fresh()
	return s
}

// step is one pass, of which everything is carried out; its memory is kept for the next.
func (s *scene) step() []Decision {
	s.t.Helper()
	mem, ds := Step(s.mem, s.snap, s.pol, s.now)
	if len(ds) != len(s.snap.Nodes) {
		s.t.Fatalf("%d decisions for %d nodes", len(ds), len(s.snap.Nodes))
	}
	s.mem = Advance(mem, ds, s.pol, s.now)
	return ds
}

func (s *scene) memory(id topology.NodeID) *NodeMemory {
	for i := range s.mem.Nodes {
		if s.mem.Nodes[i].Node == id {
			return &s.mem.Nodes[i]
		}
	}
	s.mem.Nodes = append(s.mem.Nodes, NodeMemory{Node: id})
	return &s.mem.Nodes[len(s.mem.Nodes)-1]
}

// short is a decision as tests name it: "resync/rewind diverged", "none healthy".
func short(d Decision) string {
	a := string(d.Action)
	if d.Action == Resync {
		a += "/" + string(d.Method)
	}
	return a + " " + string(d.Code)
}

// expect runs one pass and checks the decision on each node.
func (s *scene) expect(want ...string) []Decision {
	s.t.Helper()
	ds := s.step()
	for i, w := range want {
		if got := short(ds[i]); w != "" && got != w {
			s.t.Errorf("node %s: %s, want %s\n  %s\n  %s\n  rejected %v", ds[i].Node, got, w, ds[i].Reason,
				strings.Join(ds[i].Evidence, "\n  "), ds[i].Rejected)
		}
	}
	return ds
}

func (s *scene) run(id topology.NodeID, r topology.RunState) *scene {
	r.Node = id
	s.node(id).Agent.Run = &r
	return s
}

// failed leaves a failed run in the node's journal.
func (s *scene) failed(id topology.NodeID, runID string, m topology.Method, code codes.Code) *scene {
	return s.run(id, topology.RunState{ID: runID, Method: m, Outcome: topology.RunFailed, Code: code,
		Error: "as the test says", Ended: s.now})
}
