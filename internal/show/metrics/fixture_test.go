package metrics

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// noon is when everything in these tests was seen.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// pool is a published status of n nodes with everything in it that has series:
// node 0 is the primary, node 1 is down and rewound, all others stream.
func pool(n int) control.Status {
	src := topology.Source{At: noon}
	view := topology.PoolView{Source: src, Endpoint: "/var/run/postgresql/.s.PGSQL.9898", Primary: 0,
		Watchdog: topology.Watchdog{Enabled: true, Leader: true, Quorum: 1, State: "LEADER", Remote: 2, Alive: 2,
			Required: 2}}
	view.Detail = topology.PoolDetail{Source: src, Processes: topology.ProcessCounts{Free: 20, Idle: 5,
		IdleInTransaction: 2, Active: 5}}
	st := control.Status{At: noon, Version: "test", Started: noon.Add(-time.Hour), Acting: true, Pass: 7,
		PassTook: 12 * time.Millisecond}
	primary := topology.SQLFacts{Source: src, Version: 150018, Timeline: 2, Current: 0x16B374D848, DatabaseBytes: 1 << 30}
	for i := range n {
		id := topology.NodeID(i)
		name := fmt.Sprintf("repool_node%d", i)
		primary.Slots = append(primary.Slots, topology.Slot{Name: name, Active: true, Physical: true, Restart: 0x16B3000000,
			WALStatus: "reserved", Horizon: true, XminAge: 12})
		primary.Senders = append(primary.Senders, topology.WALSender{AppName: name, State: "streaming", SyncState: "async"})
		view.Nodes = append(view.Nodes, topology.PoolNode{ID: id, Status: topology.PoolUp, Role: "standby", LastChange: noon,
			Checks: topology.HealthChecks{Success: 1000 + i, Fail: 3, Skip: 1, Retries: 2, MaxRetries: 1,
				Average: 5 * time.Millisecond, Longest: time.Second, Last: noon, LastSuccess: noon, LastFail: noon}})
		view.Detail.Nodes = append(view.Detail.Nodes, topology.NodeDetail{ID: id, Weight: 1 / float64(n), DelayKnown: true,
			Delay: 512, Connections: 7})
		st.Snapshot.Nodes = append(st.Snapshot.Nodes, topology.Node{ID: id, Host: fmt.Sprintf("db%d.example.org", i),
			Port: 5432, AppName: name,
			SQL: topology.SQLFacts{Source: src, InRecovery: true, Version: 150018, Timeline: 2, Receive: 0x16B374D848,
				Replay: 0x16B374D000, ReplayLagSeconds: .2,
				Receiver: topology.WALReceiver{Status: "streaming", Timeline: 2}},
			Agent: topology.Inspection{Source: src, Dir: topology.DirPresent, Server: topology.ServerRunning,
				DataBytes: 1 << 30, WALBytes: 1 << 28, FreeBytes: 1 << 40,
				Kept: topology.Kept{WorkDir: "/d.repool", Old: 1 << 20, Vault: 9216}},
			Lineage: topology.Lineage{Source: src, Verdict: topology.LineageOnLine}})
		st.Decisions = append(st.Decisions, plan.Decision{Node: id, Action: plan.None, Code: codes.Healthy,
			Severity: codes.OK})
		st.Memory.Nodes = append(st.Memory.Nodes, plan.NodeMemory{Node: id})
	}
	st.Snapshot.Nodes[0].SQL, st.Snapshot.Nodes[0].Lineage = primary, topology.Lineage{}
	st.Decisions[0].Code = codes.Primary
	view.Nodes[1].Status = topology.PoolDown
	lost := &st.Snapshot.Nodes[1]
	lost.SQL = topology.SQLFacts{Source: topology.Source{At: noon, Err: "refused"}, Refused: true}
	lost.Lineage.Verdict, lost.Lineage.OwnBytes = topology.LineageDiverged, 9216
	lost.Agent.Server = topology.ServerStopped
	lost.Agent.Run = &topology.RunState{ID: "r1", Node: 1, Method: topology.MethodRewind, Outcome: topology.RunRunning,
		Started: noon.Add(-time.Minute),
		Steps:   []topology.StepRun{{Name: "vault"}, {Name: "rewind"}}, BytesDone: 100, BytesTotal: 400,
		Vault: &topology.VaultEntry{ID: "v1", Node: 1, Bytes: 9216, Commits: 25}}
	st.Decisions[1] = plan.Decision{Node: 1, Action: plan.Wait, Method: topology.MethodRewind, Code: codes.Resyncing,
		Severity: codes.Work}
	st.Memory.Holds = []plan.Hold{{Node: topology.NoNode}, {Node: 1, Until: noon}}
	st.Snapshot.Pools = []topology.PoolView{view}
	return st
}

// after is metrics that have seen a pool, and some of everything.
func after(st control.Status) *Metrics {
	m := New(func() []Receiver { return []Receiver{{Name: "webhook", Sent: 3, Failed: 1, Queued: 2}} })
	m.Certificates(func() []Certificate {
		return []Certificate{{Holder: "controller", Name: "pgpool1", NotAfter: noon},
			{Holder: "agent", Name: "db1", NotAfter: noon.Add(time.Hour)}, {Holder: "agent", Name: "db1", NotAfter: noon}}
	})
	m.Passed(st)
	m.Happened(event.Event{Node: 1, Kind: "decision", Code: "diverged"})
	m.Happened(event.Event{Node: 1, Kind: "attach", Code: "ready"})
	m.Happened(event.Event{Node: 1, Kind: "attach", Code: "attach-refused"})
	m.Happened(event.Event{Node: 1, Kind: "fence", Code: "fence-failed"})
	r := *st.Snapshot.Nodes[1].Agent.Run
	r.Outcome, r.Ended, r.BytesDone = topology.RunDone, noon.Add(3*time.Second), 400
	m.RunEnded(r)
	return m
}

// scrape asks as Prometheus does.
func scrape(tb testing.TB, m *Metrics, accept string) string {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.NewTextHandler(tb.Output(), nil))).ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		tb.Fatalf("scrape: status %d, %v: %s", w.Code, err, b)
	}
	return string(b)
}

const (
	asText        = "text/plain;version=0.0.4"
	asOpenMetrics = "application/openmetrics-text;version=1.0.0"
)
