package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with testdata/<name>.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\ngot\n%s\nwant\n%s", path, got, want)
	}
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// threeNodes is a pool in which one node is well, one is being copied and one
// is refused with an error of several lines.
func threeNodes() control.Status {
	at := topology.Source{At: noon}
	answers := topology.PoolView{Source: at, Endpoint: "127.0.0.1:9898", Primary: 0, Nodes: []topology.PoolNode{
		{ID: 0, Status: "up", Role: "primary"}, {ID: 1, Status: "down", Role: "standby"}, {ID: 2, Status: "down",
			Role: "standby"},
	}}
	dead := topology.PoolView{Endpoint: "db9:9898", Source: topology.Source{At: noon, Err: "connection refused\nreally"}}
	nodes := []topology.Node{
		{ID: 0, Host: "db0", Port: 5432, SQL: topology.SQLFacts{Source: at, Timeline: 3, Current: 0x5000000}},
		{ID: 1, Host: "db1.example.org", Port: 5432, Agent: topology.Inspection{Source: at, Dir: topology.DirInRepair,
			Server: topology.ServerStopped, Run: &topology.RunState{
				ID: "r1", Node: 1, Method: topology.MethodBaseBackup, Upstream: 0, Outcome: topology.RunRunning,
				Steps: []topology.StepRun{{Name: "copy"}}, BytesDone: 1 << 30, BytesTotal: 4 << 30, Started: noon.Add(-time.Minute),
			}}},
		{ID: 2, Port: 5433, SQL: topology.SQLFacts{Source: at, InRecovery: true, Timeline: 2, Replay: 0x4000000,
			ReplayLagSeconds: 12.34}},
	}
	return control.Status{
		At: noon, Why: "not the watchdog leader",
		Snapshot: topology.Snapshot{Taken: noon, Pools: []topology.PoolView{answers, dead}, Nodes: nodes},
		Decisions: []plan.Decision{
			{Node: 0, Action: plan.None, Code: codes.Primary, Severity: codes.OK, Reason: "the primary, on timeline 3",
				Upstream: topology.NoNode},
			{Node: 1, Action: plan.Resync, Method: topology.MethodBaseBackup, Code: codes.NoData, Severity: codes.Work,
				Reason:   "the data directory is missing",
				Evidence: []string{"agent: data directory missing"}, Estimate: plan.Estimate{Bytes: 4 << 30, Seconds: 41.5,
					Basis: "100 MiB/s"},
				Rejected: []plan.Rejection{{Method: topology.MethodRewind, Why: "there is nothing\nto rewind"}}},
			{Node: 2, Action: plan.None, Code: codes.Parked, Severity: codes.Refused,
				Reason: "start failed three times:\nLOG:  could not bind\nHINT:  Is another postmaster running?",
				Hint:   "end the cause, then: repool release 2"},
		},
	}
}

// healthy is the pool of threeNodes with nothing wrong in it.
func healthy() control.Status {
	st := threeNodes()
	st.Why, st.Acting = "", true
	st.Snapshot.Pools = st.Snapshot.Pools[:1]
	st.Snapshot.Pools[0].Watchdog = topology.Watchdog{Enabled: true, Leader: true, State: "LEADER", Quorum: 1}
	for i := 1; i < 3; i++ {
		id := topology.NodeID(i)
		st.Snapshot.Pools[0].Nodes[i].Status = topology.PoolUp
		n := &st.Snapshot.Nodes[i]
		n.Agent.Run, n.SQL = nil, topology.SQLFacts{Source: topology.Source{At: noon}, InRecovery: true, Timeline: 3,
			Replay:   0x5000000,
			Receiver: topology.WALReceiver{Status: "streaming", SenderHost: "db0", SenderPort: 5432}}
		st.Decisions[i] = plan.Decision{Node: id, Action: plan.None, Code: codes.Healthy, Severity: codes.OK,
			Reason: "node " + id.String() + " streams from node 0 and is attached"}
	}
	return st
}

// twoPrimaries is healthy with node 1 started by hand on its old timeline.
func twoPrimaries() control.Status {
	st := healthy()
	st.Snapshot.Pools[0].Nodes[1].Status = topology.PoolDown
	n := &st.Snapshot.Nodes[1].SQL
	n.InRecovery, n.Timeline, n.Receiver = false, 2, topology.WALReceiver{}
	st.Decisions[1] = plan.Decision{Node: 1, Action: plan.Fence, Code: codes.SecondPrimary, Severity: codes.Work,
		Reason: "node 1 accepts writes on timeline 2, and node 0 is the primary"}
	return st
}

func TestRenderStatus(t *testing.T) {
	t.Parallel()
	for name, st := range map[string]control.Status{"status": threeNodes(), "status-healthy": healthy(),
		"status-two-primaries": twoPrimaries(), "status-agent-gone": agentGone()} {
		var b bytes.Buffer
		if err := renderStatus(&b, view.Of(st, view.Past{}, noon), false); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
		if strings.Contains(b.String(), "\x1b") {
			t.Error("colour, and none was asked for")
		}
	}
}

// TestJSONHasTheSameWords: what the table says of a node stands in the JSON too.
// agentGone is the healthy pool, in which one node's agent does not answer.
func agentGone() control.Status {
	st := healthy()
	st.Snapshot.Nodes[2].Agent.Source = topology.Source{At: noon, Err: "connection refused"}
	d := &st.Decisions[2]
	d.Warning, d.Hint = codes.AgentUnreachable, "start the agent"
	d.Reason += "; warning, agent-unreachable: the agent does not answer, and if the node failed now it could not be " +
		"repaired"
	return st
}

func TestJSONHasTheSameWords(t *testing.T) {
	t.Parallel()
	var table, b bytes.Buffer
	report := view.ReportOf(twoPrimaries(), noon)
	if err := errors.Join(renderStatus(&table, report.View, false), terminal.PrintJSON(&b, report)); err != nil {
		t.Fatal(err)
	}
	var got struct {
		View struct {
			Nodes []map[string]any `json:"nodes"`
		} `json:"view"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.View.Nodes) != 3 {
		t.Fatalf("%d nodes in the JSON", len(got.View.Nodes))
	}
	for i, line := range strings.Split(table.String(), "\n")[3:6] {
		for _, name := range []string{"address", "role", "postgres", "pgpool", "timeline", "lag", "doing"} {
			if word, ok := got.View.Nodes[i][name].(string); !ok || !strings.Contains(line, word) {
				t.Errorf("node %d: %s is %q in the JSON, the table says %s", i, name, got.View.Nodes[i][name], line)
			}
		}
	}
}

func TestRenderPlan(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := renderPlan(&b, threeNodes().Decisions, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan", b.String())
}

func TestRenderHistory(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 7e6, time.Local)
	events := []event.Event{
		{At: at, Node: topology.NoNode, Kind: "controller", Code: "started", Text: "controller started"},
		{At: at, Node: 2, Kind: "run", Code: "failed",
			Text: "start failed: the server did not come up:\n\tLOG:  could not bind\n\tHINT:  Is another postmaster " +
				"running?\n"},
	}
	for name, full := range map[string]bool{"history": false, "history-full": true} {
		var b bytes.Buffer
		if err := renderHistory(&b, events, full, false); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func TestRenderVault(t *testing.T) {
	t.Parallel()
	entries := []topology.VaultEntry{
		{Node: 0, ID: "e1", Made: time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local), Diverged: 0x4000000, Commits: 25,
			Bytes: 16 << 20, Complete: true, Path: "/v/e1"},
		{Node: 12, ID: "e2", Made: time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local), Diverged: 0x14000000, Commits: 3,
			Bytes: 3 << 30, Missing: "segment 1\nis gone", Path: "/v/e2"},
	}
	var b bytes.Buffer
	if err := renderVault(&b, entries, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "vault", b.String())
}

func TestTableColourKeepsTheWidths(t *testing.T) {
	t.Parallel()
	tab := &terminal.Table{Head: []string{"A", "LONGER"}}
	tab.Add(terminal.Painted(terminal.Red, "größer"), terminal.Text("x"))
	tab.Add(terminal.Text("y"), terminal.Painted(terminal.Green, "50 %"))
	var with, without bytes.Buffer
	if err := tab.Write(&with, true); err != nil {
		t.Fatal(err)
	}
	if err := tab.Write(&without, false); err != nil {
		t.Fatal(err)
	}
	bare := strings.NewReplacer(terminal.Red, "", terminal.Green, "", terminal.Faint, "", terminal.Plain,
		"").Replace(with.String())
	if bare != without.String() {
		t.Errorf("colour changes the text:\n%q\n%q", bare, without.String())
	}
	if !strings.Contains(without.String(), "größer  x\n") {
		t.Errorf("the columns are not aligned by characters: %q", without.String())
	}
}

func TestRunLine(t *testing.T) {
	t.Parallel()
	r := topology.RunState{Method: topology.MethodRewind, Outcome: topology.RunRunning, Upstream: 0,
		Steps: []topology.StepRun{{Name: "rewind"}}, Started: noon.Add(-10 * time.Second)}
	for _, c := range []struct {
		done, total uint64
		want        string
	}{
		{0, 0, "rewind from node 0, step rewind, 10s elapsed"},
		{3 << 20, 0, "rewind from node 0, step rewind, 10s elapsed, 3.0 MiB"},
		{1 << 20, 4 << 20, "rewind from node 0, step rewind, 10s elapsed, 1.0 MiB of 4.0 MiB (25%), 102 KiB/s, 30 s left"},
	} {
		r.BytesDone, r.BytesTotal = c.done, c.total
		if got := view.RunOf(r, noon).Line(); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestProgressDoesNotFlood(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	p := &progress{w: &b}
	for i := range 50 { // 25 seconds
		p.say("copy", "at "+time.Duration(i).String(), noon.Add(time.Duration(i)*500*time.Millisecond))
	}
	p.say("verify", "verifying", noon.Add(25*time.Second))
	p.end()
	if n := strings.Count(b.String(), "\n"); n != 4 {
		t.Errorf("%d lines, want the first, one each ten seconds, and the next step:\n%s", n, b.String())
	}
}

func TestJSONListsAreNeverNull(t *testing.T) {
	t.Parallel()
	type inner struct {
		List []int           `json:"list"`
		Raw  json.RawMessage `json:"raw"`
		Left []int           `json:"left,omitempty"`
	}
	type outer struct {
		Inner []inner `json:"inner"`
		To    *inner  `json:"to"`
		None  *inner  `json:"none"`
		Nodes []int   `json:"nodes"`
	}
	var b bytes.Buffer
	if err := terminal.PrintJSON(&b, outer{Inner: []inner{{}}, To: &inner{}}); err != nil {
		t.Fatal(err)
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, b.Bytes()); err != nil {
		t.Fatal(err)
	}
	const want = `{"inner":[{"list":[],"raw":null}],"to":{"list":[],"raw":null},"none":null,"nodes":[]}`
	if flat.String() != want {
		t.Errorf("got  %s\nwant %s", flat.String(), want)
	}
	for _, empty := range []any{[]plan.Decision(nil), []topology.VaultEntry(nil), []event.Event(nil)} {
		b.Reset()
		if err := terminal.PrintJSON(&b, empty); err != nil || strings.TrimSpace(b.String()) != "[]" {
			t.Errorf("%T: %q, %v", empty, b.String(), err)
		}
	}
	b.Reset()
	if err := terminal.PrintJSON(&b, control.Status{}); err != nil || strings.Contains(b.String(), "s\": null") {
		t.Errorf("a list is null in an empty status: %v\n%s", err, b.String())
	}
}
