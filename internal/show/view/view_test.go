package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// pool is a healthy pool in which node 0 is the primary.
func pool(nodes int) control.Status {
	at := topology.Source{At: noon}
	st := control.Status{At: noon, Acting: true, Pass: 3}
	v := topology.PoolView{Source: at, Endpoint: "pg:9898"}
	for i := range nodes {
		id := topology.NodeID(i)
		n := topology.Node{ID: id, Host: fmt.Sprint("db", i), Port: 5432, AppName: fmt.Sprint("app", i),
			Agent: topology.Inspection{Source: at, Dir: topology.DirPresent, Server: topology.ServerRunning},
			SQL:   topology.SQLFacts{Source: at, InRecovery: i > 0, Timeline: 2, Current: 0x3000000, Replay: 0x3000000}}
		d := plan.Decision{Node: id, Code: codes.Primary, Severity: codes.OK}
		if i > 0 {
			n.SQL.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: "db0", SenderPort: 5432}
			d.Code = codes.Healthy
		}
		st.Snapshot.Nodes, st.Decisions = append(st.Snapshot.Nodes, n), append(st.Decisions, d)
		v.Nodes = append(v.Nodes, topology.PoolNode{ID: id, Status: topology.PoolUp, Role: "standby"})
	}
	st.Snapshot.Pools = []topology.PoolView{v}
	return st
}

func TestHeadline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change         func(*control.Status)
		tone           Tone
		headline, also string
	}{
		"all is well": {func(*control.Status) {}, Good, "All 3 nodes are attached and healthy",
			"node 0 is the primary"},
		"an agent is gone": {func(st *control.Status) { st.Decisions[2].Warning = codes.AgentUnreachable }, Good,
			"All 3 nodes are attached and healthy", "node 0 is the primary · node 2: agent-unreachable"},
		"has not looked": {func(st *control.Status) { *st = control.Status{Why: "starting"} }, Quiet, "first time", ""},
		"Pgpool-II is dead": {func(st *control.Status) { st.Snapshot.Pools[0].Err = "refused" }, Bad,
			"Pgpool-II does not answer", "refused"},
		"a node is on its way": {func(st *control.Status) {
			st.Snapshot.Pools[0].Nodes[1].Status = topology.PoolDown
			st.Decisions[1] = plan.Decision{Node: 1, Code: codes.Diverged, Severity: codes.Work, Action: plan.Resync,
				Method: topology.MethodRewind}
		}, Busy, "2 of 3 nodes are attached", "node 1: diverged → rewind"},
		"a node is parked": {func(st *control.Status) {
			st.Snapshot.Pools[0].Nodes[1].Status = topology.PoolDown
			st.Decisions[1] = plan.Decision{Node: 1, Code: codes.Parked, Severity: codes.Refused}
		}, Bad, "2 of 3 nodes are attached", "node 1: parked"},
		"attached, but not well": {func(st *control.Status) {
			st.Decisions[2] = plan.Decision{Node: 2, Code: codes.WrongUpstream, Severity: codes.Work,
				Method: topology.MethodFollow}
		}, Busy, "All 3 nodes are attached", "node 2: wrong-upstream → follow"},
		"a failover": {func(st *control.Status) {
			st.Snapshot.Nodes[0].SQL.Err = "refused"
			st.Decisions[0] = plan.Decision{Node: 0, Code: codes.FailoverRunning, Severity: codes.Work}
		}, Busy, "A failover is under way", ""},
		"two primaries, being settled": {func(st *control.Status) {
			st.Snapshot.Nodes[1].SQL.InRecovery = false
			st.Decisions[1] = plan.Decision{Node: 1, Code: codes.SecondPrimary, Severity: codes.Work, Action: plan.Fence}
		}, Bad, "TWO nodes accept writes: 0 and 1", "node 1: second-primary → fence"},
		"two primaries, and a person must decide": {func(st *control.Status) {
			contested(st)
		}, Bad, "TWO nodes accept writes: 0 and 1", "nodes 0, 1 and 2: primary-contested"},
		"no primary": {func(st *control.Status) {
			st.Snapshot.Nodes[0].SQL.Err = "refused"
			st.Decisions[0] = plan.Decision{Node: 0, Code: codes.NoPrimary, Severity: codes.Refused}
		}, Bad, "No node accepts writes", "node 0: no-primary"},
	} {
		st := pool(3)
		c.change(&st)
		v := Of(st, Past{}, noon)
		if v.Tone != c.tone || !strings.Contains(v.Headline, c.headline) || !strings.Contains(v.Detail, c.also) {
			t.Errorf("%s: %s %q %q", name, v.Tone, v.Headline, v.Detail)
		}
	}
}

// contested is a pool in which node 1 accepts writes beside node 0, on a newer timeline, and all wait for a person.
func contested(st *control.Status) {
	n := &st.Snapshot.Nodes[1].SQL
	n.InRecovery, n.Timeline, n.Receiver = false, 3, topology.WALReceiver{}
	for i := range st.Decisions {
		st.Decisions[i] = plan.Decision{Node: topology.NodeID(i), Code: codes.PrimaryContested, Severity: codes.Refused,
			Action: plan.Wait, Reason: "node 1 accepts writes on timeline 3, and Pgpool-II sends them to node 0",
			Hint: fmt.Sprintf("repool resync ID --yes (ID: node %d)", i)}
	}
}

// TestTwoPrimariesAreSaidOnce: one sentence, one remedy that can be pasted, and the line of writes where
// Pgpool-II sends them, which is not to the node on the newest timeline.
func TestTwoPrimariesAreSaidOnce(t *testing.T) {
	t.Parallel()
	st := pool(3)
	contested(&st)
	v := Of(st, Past{}, noon)
	if len(v.Work) != 1 || len(v.Alarms) != 1 || !slices.Equal(v.Writers, []topology.NodeID{0, 1}) || v.WritesTo != 0 {
		t.Fatalf("work %+v, alarms %+v, writers %v, writes to %s", v.Work, v.Alarms, v.Writers, v.WritesTo)
	}
	if do := v.Alarms[0].Do; !strings.HasSuffix(do, "repool resync 1 --yes") || !strings.Contains(do, "keep node 0") {
		t.Errorf("remedy %q", do)
	}
	if v.Nodes[0].Role != "primary" || v.Nodes[1].Role != "second primary" {
		t.Errorf("roles %q and %q, while clients write to node 0", v.Nodes[0].Role, v.Nodes[1].Role)
	}
	p := Wide(&v)
	if !p.Routes[0].Writes || p.Routes[1].Writes {
		t.Errorf("routes: %+v", p.Routes)
	}
	if strings.Contains(p.Alt, "is the primary") || !strings.Contains(p.Alt, "Pgpool-II sends writes to node 0") {
		t.Errorf("in words: %s", p.Alt)
	}
	st.Snapshot.Pools[0].Primary = 1
	if v := Of(st, Past{}, noon); !strings.HasSuffix(v.Work[0].Decision.Hint, "repool resync 0 --yes") {
		t.Errorf("writes go to node 1, and the remedy is %q", v.Work[0].Decision.Hint)
	}
	// Where no Pgpool-II says to which of them writes go, nothing says which to keep.
	st.Snapshot.Pools[0].Primary = topology.NoNode
	if v := Of(st, Past{}, noon); strings.Contains(v.Work[0].Decision.Hint, "keep node") {
		t.Errorf("remedy %q", v.Work[0].Decision.Hint)
	}
}

// TestUnknownIsNotDetached: a node of which no Pgpool-II has told has no open switch.
func TestUnknownIsNotDetached(t *testing.T) {
	t.Parallel()
	st := pool(2)
	st.Snapshot.Pools[0].Err = "refused"
	v := Of(st, Past{}, noon)
	for i, r := range Wide(&v).Routes {
		if r.State != AttachUnknown || r.Lever != "" {
			t.Errorf("node %d: %+v", i, r)
		}
	}
}

func TestWhoStreamsFromWhom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*control.Status)
		from    topology.NodeID
		cascade bool
	}{
		"by address": {func(*control.Status) {}, 0, false},
		"by the name that the sender gives, where the address is another": {func(st *control.Status) {
			st.Snapshot.Nodes[2].SQL.Receiver.SenderHost = "10.1.1.1"
			st.Snapshot.Nodes[1].SQL.Senders = []topology.WALSender{{AppName: "app2", State: "streaming"}}
		}, 1, true},
		"from another standby": {func(st *control.Status) { st.Snapshot.Nodes[2].SQL.Receiver.SenderHost = "db1" }, 1, true},
		"from nobody known": {func(st *control.Status) { st.Snapshot.Nodes[2].SQL.Receiver.SenderHost = "elsewhere" },
			topology.NoNode, false},
		"not now": {func(st *control.Status) { st.Snapshot.Nodes[2].SQL.Receiver.Status = "waiting" },
			topology.NoNode, false},
		"nothing is known": {func(st *control.Status) { st.Snapshot.Nodes[2].SQL.Err = "refused" }, topology.NoNode, false},
	} {
		st := pool(3)
		c.change(&st)
		if n := Of(st, Past{}, noon).Nodes[2]; n.Upstream != c.from || n.Cascade != c.cascade {
			t.Errorf("%s: from %s, cascade %v", name, n.Upstream, n.Cascade)
		}
	}
}

func TestAttachOfSeveralPgpools(t *testing.T) {
	t.Parallel()
	for want, set := range map[Attach][2]topology.PoolNode{
		Attached:    {{Status: topology.PoolUp}, {Status: topology.PoolWaiting}},
		Partly:      {{Status: topology.PoolUp}, {Status: topology.PoolDown}},
		Detached:    {{Status: topology.PoolDown}, {Status: topology.PoolDown}},
		Quarantined: {{Status: topology.PoolDown, Quarantine: true}, {Status: topology.PoolUp}},
	} {
		st := pool(1)
		other := st.Snapshot.Pools[0]
		st.Snapshot.Pools[0].Nodes, other.Nodes = []topology.PoolNode{set[0]}, []topology.PoolNode{set[1]}
		st.Snapshot.Pools = append(st.Snapshot.Pools, other)
		if got := Of(st, Past{}, noon).Nodes[0].Attach; got != want {
			t.Errorf("%v: %s, want %s", set, got, want)
		}
	}
}

func TestRunHasRateAndTimeLeft(t *testing.T) {
	t.Parallel()
	r := topology.RunState{ID: "r", Method: topology.MethodBaseBackup, Outcome: topology.RunRunning,
		Started: noon.Add(-time.Minute), BytesDone: 100 << 20, BytesTotal: 400 << 20,
		Steps: []topology.StepRun{{Name: "vault", Started: noon.Add(-time.Minute), Ended: noon.Add(-10 * time.Second)},
			{Name: "copy", Started: noon.Add(-10 * time.Second)}}}
	got := RunOf(r, noon)
	if !got.Moving || got.Percent() != 25 || got.Rate != "10 MiB/s" || got.Left != "30 s left" ||
		got.Took != time.Minute || !got.Steps[1].Running || got.Steps[0].Running {
		t.Errorf("%+v", got)
	}
	r.Steps = append(r.Steps, topology.StepRun{Name: "start", Started: noon})
	r.BytesDone = r.BytesTotal
	if got := RunOf(r, noon); got.Moving || got.Left != "" || got.Step != "start" {
		t.Errorf("after the copy: %+v", got)
	}
	r.Outcome, r.Ended = topology.RunFailed, noon.Add(-30*time.Second)
	if got := RunOf(r, noon); got.Took != 30*time.Second || got.Steps[2].Running {
		t.Errorf("ended: %+v", got)
	}
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	vault := topology.RunState{ID: "r1", Outcome: topology.RunDone, Vault: &topology.VaultEntry{ID: "v1", Node: 1,
		Made: noon.Add(-time.Hour), Commits: 3, Complete: true}}
	b, err := json.Marshal(vault)
	if err != nil {
		t.Fatal(err)
	}
	st := pool(3)
	st.Decisions[1] = plan.Decision{Node: 1, Code: codes.Parked, Severity: codes.Refused, Reason: "gave up",
		Hint: "repool release 1"}
	st.Memory.Nodes = []plan.NodeMemory{{Node: 1, Parked: codes.StartFailed, ParkedAt: noon.Add(-time.Minute)}}
	st.Memory.Holds = []plan.Hold{{Node: 2, Who: "ann", Why: "new disk"},
		{Node: 0, Who: "bob", Until: noon.Add(-time.Hour)}}
	past := Past{Events: []event.Event{{At: noon.Add(-time.Hour), Kind: "controller", Code: string(codes.HistorySetAside),
		Text: "set aside"}},
		Runs: []event.Event{{Kind: "run", Data: b}, {Kind: "run", Data: b}}}
	var got []string
	for _, a := range Of(st, past, noon).Alarms {
		got = append(got, string(a.Tone)+" "+a.Title)
	}
	want := []string{"bad Node 1 is parked", "bad 3 lost commits, kept in the vault of node 1",
		"bad The history was set aside", "quiet Node 2 is on hold"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if later := Of(st, past, noon.Add(30*24*time.Hour)); len(later.Alarms) != 2 || len(later.Vault) != 1 {
		t.Errorf("a month later: %d alarms, %d vault entries", len(later.Alarms), len(later.Vault))
	}
}

// TestPictureShowsEveryNode: whatever the number of nodes and the columns, no
// two cards overlap, all lie in the picture, and each has its lines.
func TestPictureShowsEveryNode(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2, 3, 8, 9, 60, 128} {
		st := pool(nodes)
		v := Of(st, Past{}, noon)
		for _, p := range []Picture{Wide(&v), Narrow(&v), Draw(&v, "x", 7)} {
			if len(p.Cards) != nodes || len(p.Routes) != nodes || len(p.Streams) != nodes-1 {
				t.Fatalf("%d nodes: %d cards, %d routes, %d streams", nodes, len(p.Cards), len(p.Routes), len(p.Streams))
			}
			for i, a := range p.Cards {
				if a.X < 0 || a.Y < 0 || a.X+a.W > p.W || a.Y+a.H > p.H {
					t.Fatalf("%d nodes: card %d lies outside", nodes, i)
				}
				for _, b := range p.Cards[i+1:] {
					if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
						t.Fatalf("%d nodes: cards %s and %s overlap", nodes, a.Name, b.Name)
					}
				}
			}
		}
	}
}

func TestDetachedNodeHasAnOpenSwitch(t *testing.T) {
	t.Parallel()
	st := pool(3)
	st.Snapshot.Pools[0].Nodes[2].Status = topology.PoolDown
	st.Snapshot.Nodes[2].SQL.Err = "refused"
	st.Snapshot.Nodes[2].Agent.Run = &topology.RunState{ID: "r", Method: topology.MethodRewind, Upstream: 0,
		Outcome: topology.RunRunning, BytesDone: 1, BytesTotal: 4, Steps: []topology.StepRun{{Name: "rewind"}}}
	v := Of(st, Past{}, noon)
	p := Wide(&v)
	if p.Routes[1].Lever != "" || p.Routes[2].Lever == "" || !p.Routes[0].Writes || p.Routes[2].Writes {
		t.Errorf("routes: %+v", p.Routes)
	}
	if s := p.Streams[1]; s.Kind != "copy" || s.From != 0 || s.To != 2 || p.Cards[2].BarW*4/p.Cards[2].BarFull != 1 {
		t.Errorf("stream %+v, card %+v", s, p.Cards[2])
	}
	if !strings.Contains(p.Alt, "Detached: 2") || !strings.Contains(p.Alt, "Streaming from node 0: 1") {
		t.Errorf("in words: %s", p.Alt)
	}
}

// TestOneTroubleIsSaidOnce: what is true of several nodes alike is one entry.
func TestOneTroubleIsSaidOnce(t *testing.T) {
	t.Parallel()
	st := pool(4)
	for i := range 3 {
		st.Decisions[i] = plan.Decision{Node: topology.NodeID(i), Code: codes.PrimaryUnreachable, Severity: codes.Refused,
			Reason: "node 0 does not answer", Evidence: []string{"all", fmt.Sprint("own ", i)}}
	}
	past := Past{}
	for i := range 3 {
		past.Events = append(past.Events, event.Event{At: noon, Node: topology.NodeID(i), Kind: "decision",
			Code: "primary-unreachable", Text: "node 0 does not answer"})
	}
	v := Of(st, past, noon)
	if len(v.Work) != 1 || v.Work[0].Subject != "Nodes 0, 1 and 2" ||
		!slices.Equal(v.Work[0].Evidence, []string{"all", "own 0", "own 1", "own 2"}) {
		t.Errorf("work: %+v", v.Work)
	}
	if len(v.Alarms) != 1 || v.Alarms[0].Title != "Nodes 0, 1 and 2: primary-unreachable" || len(v.Events) != 1 ||
		v.Events[0].Subject != "nodes 0, 1, 2" {
		t.Errorf("alarms %+v, events %+v", v.Alarms, v.Events)
	}
}

func TestNoSuchRun(t *testing.T) {
	t.Parallel()
	_, err := Find("r9", func(event.Filter) ([]event.Event, error) { return nil, nil })
	if none := (ErrNoSuchRun{}); !errors.As(err, &none) {
		t.Error(err)
	}
}
