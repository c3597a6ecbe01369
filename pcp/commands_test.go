package pcp

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-11-22 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

const fullWeight = "2147483647.000000"

var (
	node43 = texts('i', "NodeInfo", "db1", "5432", "2", "0", "up", "1073741823.500000", "3", "standby",
		"4096", "streaming", "async", "1795376156")
	node44 = texts('i', "NodeInfo", "db1", "5432", "2", "0", "up", "1073741823.500000", "3", "standby",
		"1", "2500000", "streaming", "async", "1795376156")
	node44bytes = texts('i', "NodeInfo", "/run/pg", "5433", "3", "1", "unknown", fullWeight, "2", "unknown",
		"0", "18446744073709551615", "", "", "0")
	done = func(tag byte) []byte { return texts(tag, "CommandComplete") }
)

func wantNode43() NodeInfo {
	return NodeInfo{
		Host: "db1", Port: 5432, Status: StatusUp, PgStatus: "up", Weight: 0.5, Role: RoleStandby, PgRole: "standby",
		DelayBytes: 4096, ReplicationState: "streaming", SyncState: "async", LastStatusChange: time.Unix(1795376156, 0),
	}
}

func wantNode44() NodeInfo {
	n := wantNode43()
	n.DelayBytes, n.DelayByTime, n.DelayTime = 0, true, 2500*time.Millisecond
	return n
}

func wantQuarantined() NodeInfo {
	return NodeInfo{
		ID: 1, Host: "/run/pg", Port: 5433, Status: StatusDown, Quarantine: true, PgStatus: "unknown", Weight: 1,
		Role: RolePrimary, PgRole: "unknown", DelayBytes: 1<<64 - 1,
	}
}

const watchdogJSON = `{"RemoteNodeCount":2,"MemberRemoteNodeCount":2,"NodesRequireForQuorum":2,"QuorumStatus":1,` +
	`"AliveNodeCount":2,"Escalated":1,"LeaderNodeName":"a:9999 Linux ` +
	`a","LeaderHostName":"a","NodeCount":2,"WatchdogNodes":[` +
	`{"ID":0,"State":4,"Membership":0,"MembershipString":"MEMBER","NodeName":"a:9999 Linux a","HostName":"a",` +
	`"StateName":"LEADER","DelegateIP":"Not_Set","WdPort":9000,"PgpoolPort":9999,"Priority":2,"LifecheckStarted":1},` +
	`{"ID":1,"HostName":"b","WdPort":"9000"}]}`

func wantWatchdog() WatchdogInfo {
	return WatchdogInfo{
		Quorum: QuorumHeld, RemoteNodes: 2, AliveNodes: 2, NodesForQuorum: 2, Escalated: 1,
		LeaderName: "a:9999 Linux a", LeaderHost: "a",
		Nodes: []WatchdogNode{
			{ID: 0, State: WatchdogLeader, StateName: "LEADER", Name: "a:9999 Linux a", HostName: "a", MembershipName: "MEMBER",
				DelegateIP: "Not_Set", WdPort: 9000, PgpoolPort: 9999, Priority: 2},
			{ID: 1, State: -1, Membership: -1, HostName: "b"},
		},
	}
}

type processes = []ProcessInfo

var process17 = []string{"ProcessInfo", "42", "2026-11-22 21:53:00 (4:40 before process restarting)", "3", "1", "0",
	"app", "joe",
	"2026-11-22 21:53:24", "2026-11-22 21:53:25", "2026-11-22 21:53:26", "7 (0:53 before client disconnected)", "3", "0",
	"2",
	"7011", "1", "Idle"}

func wantProcess() ProcessInfo {
	return ProcessInfo{
		PID: 42, Started: at("21:53:00"), Sessions: 3, Pool: 1, Database: "app", User: "joe", NodeConnected: at("21:53:24"),
		ClientConnected: at("21:53:25"), ClientDisconnected: at("21:53:26"), ClientIdle: 7 * time.Second,
		Major: 3, Uses: 2, ServerPID: 7011, Connected: true, Status: "Idle",
	}
}

type commandCase struct {
	name    string
	tag     byte
	request string
	reply   [][]byte
	call    func(context.Context, *Conn) (any, error)
	want    any
}

// orderCase is a command that gives no data back.
func orderCase(name string, tag byte, request string, reply byte, call func(context.Context, *Conn) error) commandCase {
	return commandCase{name, tag, request, [][]byte{done(reply)}, func(ctx context.Context, c *Conn) (any, error) {
		return nil, call(ctx, c)
	}, nil}
}

func queries() []commandCase {
	allProcesses := func(ctx context.Context, c *Conn) (any, error) { return c.Processes(ctx) }
	allNodes := func(ctx context.Context, c *Conn) (any, error) { return c.Nodes(ctx) }
	process18 := append(process17[:18:18], "1")
	process21 := append(process18[:19:19], "10.0.0.9", "51234", "SELECT 1")
	with18, with21 := wantProcess(), wantProcess()
	with18.LoadBalanceNode, with21.LoadBalanceNode = "1", "1"
	with21.ClientHost, with21.ClientPort, with21.Statement = "10.0.0.9", "51234", "SELECT 1"
	return []commandCase{
		{"node count", 'L', "", [][]byte{texts('l', "CommandComplete", "3")},
			func(ctx context.Context, c *Conn) (any, error) { return c.NodeCount(ctx) }, 3},
		{"one node, 12 fields", 'I', "5\x00", [][]byte{texts('i', "ArraySize", "1"), node43, done('i')},
			func(ctx context.Context, c *Conn) (any, error) {
				n, err := c.NodeInfo(ctx, 5)
				n.ID -= 5
				return n, err
			}, wantNode43()},
		{"all nodes, 13 fields", 'I', "-1\x00", [][]byte{texts('i', "ArraySize", "2"), node44, node44bytes, done('i')},
			allNodes, []NodeInfo{wantNode44(), wantQuarantined()}},
		{"no nodes", 'I', "-1\x00", [][]byte{texts('i', "ArraySize", "0"), done('i')}, allNodes, []NodeInfo(nil)},
		{"process count", 'N', "", [][]byte{texts('n', "CommandComplete", "2", "10", "11")},
			func(ctx context.Context, c *Conn) (any, error) { return c.ProcessIDs(ctx) }, []int{10, 11}},
		{"process info, 17 fields, fewer than announced", 'P', "42\x00",
			[][]byte{texts('p', "ArraySize", "4"), texts('p', process17...), done('p')},
			func(ctx context.Context, c *Conn) (any, error) { return c.Process(ctx, 42) }, processes{wantProcess()}},
		{"process info, 18 fields", 'P', "0\x00",
			[][]byte{texts('p', "ArraySize", "1"), texts('p', process18...), done('p')}, allProcesses, processes{with18}},
		{"process info, 21 fields", 'P', "0\x00",
			[][]byte{texts('p', "ArraySize", "1"), texts('p', process21...), done('p')}, allProcesses, processes{with21}},
		{"watchdog info", 'W', "-1\x00", [][]byte{texts('w', "CommandComplete", watchdogJSON)},
			func(ctx context.Context, c *Conn) (any, error) { return c.Watchdog(ctx) }, wantWatchdog()},
		{"watchdog info of one member", 'W', "0\x00", [][]byte{texts('w', "CommandComplete", watchdogJSON)},
			func(ctx context.Context, c *Conn) (any, error) { return c.WatchdogNode(ctx, 0) }, wantWatchdog()},
		{"pool status", 'B', "", [][]byte{frame('b', "ArraySize\x00\x00\x00\x00\x02"),
			texts('b', "ProcessConfig", "port", "9999", "port number"), texts('b', "ProcessConfig", "logdir", "",
				""), done('b')},
			func(ctx context.Context, c *Conn) (any, error) { return c.PoolStatus(ctx) },
			[]Setting{{"port", "9999", "port number"}, {"logdir", "", ""}}},
		{"health check stats", 'H', "0\x00", [][]byte{texts('h', "CommandComplete", "0", "db1", "5432", "down", "standby",
			"2026-11-22 21:53:26", "29", "26", "1", "2", "4", "0.500000", "3", "26", "10", "13.5",
			"2026-11-22 21:53:28", "2026-11-22 21:53:25", "", "2026-11-22 21:53:27")},
			func(ctx context.Context, c *Conn) (any, error) { return c.HealthStats(ctx, 0) },
			HealthStats{Host: "db1", Port: 5432, Status: "down", Role: "standby", LastStatusChange: at("21:53:26"),
				Total: 29, Success: 26, Fail: 1, Skip: 2, Retries: 4, AverageRetries: 0.5, MaxRetries: 3,
				MaxDuration: 26 * time.Millisecond, MinDuration: 10 * time.Millisecond, AverageDuration: 13500 * time.Microsecond,
				LastCheck: at("21:53:28"), LastSuccess: at("21:53:25"), LastFail: at("21:53:27")}},
	}
}

func orders() []commandCase {
	promote := func(id int, opt PromoteOptions) func(context.Context, *Conn) error {
		return func(ctx context.Context, c *Conn) error { return c.PromoteNode(ctx, id, opt) }
	}
	stop := func(m StopMode, s Scope) func(context.Context, *Conn) error {
		return func(ctx context.Context, c *Conn) error { return c.Stop(ctx, m, s) }
	}
	node := func(f func(*Conn, context.Context, int) error, id int) func(context.Context, *Conn) error {
		return func(ctx context.Context, c *Conn) error { return f(c, ctx, id) }
	}
	scope := func(f func(*Conn, context.Context, Scope) error, s Scope) func(context.Context, *Conn) error {
		return func(ctx context.Context, c *Conn) error { return f(c, ctx, s) }
	}
	return []commandCase{
		orderCase("attach", 'C', "2\x00", 'c', node((*Conn).AttachNode, 2)),
		orderCase("detach", 'D', "11\x00", 'd', node((*Conn).DetachNode, 11)),
		orderCase("detach gracefully", 'd', "1\x00", 'd', node((*Conn).DetachNodeGracefully, 1)),
		orderCase("recover", 'O', "1\x00", 'c', node((*Conn).RecoverNode, 1)),
		orderCase("promote", 'J', "0 \x00n", 'd', promote(0, PromoteOptions{})),
		orderCase("promote, switchover", 'J', "12 \x00s", 'd', promote(12, PromoteOptions{Switchover: true})),
		orderCase("promote gracefully", 'j', "0 \x00n", 'd', promote(0, PromoteOptions{Graceful: true})),
		orderCase("promote gracefully, switchover", 'j', "1 \x00s", 'd',
			promote(1, PromoteOptions{Switchover: true, Graceful: true})),
		orderCase("stop", 'T', "s", 't', stop(StopSmart, ScopeLocal)),
		orderCase("stop cluster", 't', "i", 't', stop(StopImmediate, ScopeCluster)),
		orderCase("reload", 'Z', "l", 'z', scope((*Conn).Reload, ScopeLocal)),
		orderCase("reload cluster", 'Z', "c", 'z', scope((*Conn).Reload, ScopeCluster)),
		orderCase("rotate log", 'V', "l", 'v', scope((*Conn).RotateLog, ScopeLocal)),
		orderCase("invalidate query cache", 'G', "", 'g',
			func(ctx context.Context, c *Conn) error { return c.InvalidateQueryCache(ctx) }),
		orderCase("set parameter", 'A', "client_min_messages\x00debug1\x00", 'a', func(ctx context.Context, c *Conn) error {
			return c.SetParameter(ctx, "client_min_messages", "debug1")
		}),
	}
}

// TestCommands plays each command three times on one connection: its reply in
// one piece, byte by byte, and among notices.
func TestCommands(t *testing.T) {
	t.Parallel()
	notice := frame('N', "SDEBUG\x00CXX000\x00Mreceived PCP packet\x00\x00")
	for _, tc := range append(queries(), orders()...) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			request := expect(tc.tag, tc.request)
			noisy := [][]byte{notice, notice}
			for _, m := range tc.reply {
				noisy = append(noisy, m, notice)
			}
			c := dialScript(t, request, send(tc.reply...), request, trickle(tc.reply...), request, send(noisy...))
			for _, delivery := range []string{"one piece", "byte by byte", "among notices"} {
				got, err := tc.call(t.Context(), c)
				if err != nil {
					t.Fatalf("%s: %v", delivery, err)
				}
				if !reflect.DeepEqual(got, tc.want) {
					t.Errorf("%s:\n got %+v\nwant %+v", delivery, got, tc.want)
				}
			}
		})
	}
}

// TestCommandsCutShort gives each command every beginning of its reply, then the
// end of the connection: an error each time, never half an answer.
func TestCommandsCutShort(t *testing.T) {
	t.Parallel()
	for _, tc := range append(queries(), orders()...) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var whole []byte
			for _, m := range tc.reply {
				whole = append(whole, m...)
			}
			for n := range whole {
				c := dialScript(t, expect(tc.tag, tc.request), send(whole[:n]), hangUp)
				got, err := tc.call(t.Context(), c)
				if err == nil || errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "closed the connection") {
					t.Fatalf("%d of %d bytes: got %v, %v", n, len(whole), got, err)
				}
				if _, err := c.NodeCount(t.Context()); err == nil {
					t.Fatalf("%d of %d bytes: the connection is still used", n, len(whole))
				}
			}
		})
	}
}

func TestRefusedHereAlready(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := dialScript(t)
	long := strings.Repeat("x", 300)
	_, infoErr := c.NodeInfo(ctx, -1)
	_, healthErr := c.HealthStats(ctx, -1)
	_, processErr := c.Process(ctx, 0)
	_, watchdogErr := c.WatchdogNode(ctx, -1)
	for name, err := range map[string]error{
		"node info of all nodes":  infoErr,
		"health stats of no node": healthErr,
		"process 0":               processErr,
		"member -1":               watchdogErr,
		"attach no node":          c.AttachNode(ctx, -1),
		"promote no node":         c.PromoteNode(ctx, -2, PromoteOptions{}),
		"unknown scope":           c.Reload(ctx, 0),
		"unknown stop mode":       c.Stop(ctx, 'x', ScopeLocal),
		"unknown stop scope":      c.Stop(ctx, StopFast, 'x'),
		"zero byte":               c.SetParameter(ctx, "a\x00b", ""),
		"too long a request":      c.SetParameter(ctx, "client_min_messages", long),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
