package plan

import (
	"time"

	"pgregory.net/rapid"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

var lines = []string{"1", "1@0/5000000 2", "1@0/4000000 2", "1@0/5000000 2@0/6000000 3", "1@0/5000000 3", "7"}

// anyWorld draws a pool of two to four nodes in any state, likely or not.
func anyWorld(rt *rapid.T) (Memory, topology.Snapshot, Policy) {
	pol := DefaultPolicy()
	if rapid.IntRange(0, 3).Draw(rt, "policy") == 0 {
		pol.Methods = map[topology.Method]Mode{}
		for _, m := range topology.Methods {
			pol.Methods[m] = rapid.SampledFrom([]Mode{Auto, Auto, Ask, Never}).Draw(rt, "mode")
		}
		pol.Fence = rapid.SampledFrom([]Mode{Auto, Ask, Never}).Draw(rt, "fence")
	}
	count := rapid.IntRange(2, 4).Draw(rt, "nodes")
	anyNode := rapid.SampledFrom([]topology.NodeID{topology.NoNode, 0, 0, 1, 1, 2})
	var snap topology.Snapshot
	for i := range rapid.IntRange(1, 2).Draw(rt, "pools") {
		p := topology.PoolView{Source: anySource(rt, 9), Endpoint: "pool", Primary: anyNode.Draw(rt, "pool primary")}
		if i == 0 && rapid.IntRange(0, 9).Draw(rt, "watchdog") == 0 {
			p.Watchdog = topology.Watchdog{Enabled: true, Leader: rapid.Bool().Draw(rt, "leader"),
				Quorum: rapid.IntRange(-2, 1).Draw(rt, "quorum")}
		}
		for id := range topology.NodeID(count) {
			st := rapid.SampledFrom([]topology.PoolStatus{topology.PoolUp, topology.PoolWaiting, topology.PoolDown,
				topology.PoolDown, topology.PoolUnused}).Draw(rt, "status")
			p.Nodes = append(p.Nodes, topology.PoolNode{ID: id, Status: st, Quarantine: st == topology.PoolDown &&
				rapid.IntRange(0, 9).Draw(rt, "quarantine") == 0, LastChange: start.Add(-time.Minute)})
		}
		snap.Pools = append(snap.Pools, p)
	}
	mem := Memory{Primary: topology.NoNode}
	if rapid.Bool().Draw(rt, "remembers") {
		mem.Primary, mem.SystemID = topology.NodeID(rapid.IntRange(0, count-1).Draw(rt, "remembered")), sys
		mem.History = hist(rapid.SampledFrom(lines).Draw(rt, "remembered line"))
		mem.PoolBlindSince = start.Add(-time.Duration(rapid.IntRange(0, 20).Draw(rt, "blind")) * time.Second)
	}
	for id := range topology.NodeID(count) {
		snap.Nodes = append(snap.Nodes, drawNode(rt, id))
		mem.Nodes = append(mem.Nodes, drawMemory(rt, id))
	}
	if rapid.IntRange(0, 9).Draw(rt, "hold") == 0 {
		mem.Holds = []Hold{{Node: anyNode.Draw(rt, "held"), Who: "ann"}}
	}
	for i := range snap.Nodes {
		tieToUpstream(rt, &snap, &snap.Nodes[i])
	}
	return mem, snap, pol
}

// anySource is fresh in nine of ten draws, else failed, old or never asked.
func anySource(rt *rapid.T, likely int) topology.Source {
	switch rapid.IntRange(0, likely+2).Draw(rt, "source") {
	case 0:
		return topology.Source{At: start, Err: "no answer"}
	case 1:
		return topology.Source{At: start.Add(-time.Hour)}
	case 2:
		return topology.Source{}
	}
	return topology.Source{At: start}
}

func drawNode(rt *rapid.T, id topology.NodeID) topology.Node {
	n := topology.Node{ID: id, Host: "h" + id.String(), Port: 5432,
		NoFailover: rapid.IntRange(0, 19).Draw(rt, "flag") == 0}
	line := hist(rapid.SampledFrom(lines).Draw(rt, "line"))
	anySys := rapid.SampledFrom([]topology.SystemID{sys, sys, sys, sys, sys, sys, otherSys, 0})
	n.SQL = topology.SQLFacts{Source: anySource(rt, 4), InRecovery: rapid.IntRange(0, 2).Draw(rt, "recovery") > 0,
		SystemID: anySys.Draw(rt, "system"),
		Version:  150018, Timeline: line.TLI, Current: 0x5001000, Replay: rapid.SampledFrom([]topology.LSN{0x1000000,
			0x5001000}).Draw(rt, "replay"),
		DatabaseBytes: rapid.SampledFrom([]uint64{0, gib}).Draw(rt, "size")}
	a := &n.Agent
	*a = topology.Inspection{Source: anySource(rt, 9), History: line, Version: 15,
		FreeBytes: rapid.SampledFrom([]uint64{0, 100 * gib}).Draw(rt, "free"),
		Dir: rapid.SampledFrom([]topology.DirState{topology.DirPresent, topology.DirPresent, topology.DirPresent,
			topology.DirInRepair, topology.DirMissing, topology.DirEmpty, topology.DirForeign, topology.DirUnknown}).Draw(rt,
			"dir"),
		Server: rapid.SampledFrom([]topology.ServerState{topology.ServerStopped, topology.ServerStopped,
			topology.ServerRunning, topology.ServerRunning, topology.ServerStarting, topology.ServerStopping,
			topology.ServerFrozen, topology.ServerUnknown}).Draw(rt, "server"),
		StandbySignal: rapid.Bool().Draw(rt, "signal"), MountPoint: rapid.IntRange(0, 9).Draw(rt, "mount") == 0}
	if rapid.IntRange(0, 9).Draw(rt, "control") > 0 {
		a.Control = &topology.Control{SystemID: anySys.Draw(rt, "control system"),
			Checksums: rapid.Bool().Draw(rt, "checksums")}
	}
	if rapid.IntRange(0, 3).Draw(rt, "run") == 0 {
		out := rapid.SampledFrom([]topology.Outcome{topology.RunRunning, topology.RunWaiting, topology.RunDone,
			topology.RunFailed, topology.RunInterrupted}).Draw(rt, "outcome")
		code := rapid.SampledFrom([]codes.Code{
			codes.StartFailed, codes.UpstreamLost, codes.RewindFailed, "never-heard-of"}).Draw(rt, "run code")
		a.Run = &topology.RunState{ID: "run", Node: id, Method: rapid.SampledFrom(topology.Methods).Draw(rt, "run method"),
			Outcome: out, Code: code, Ended: start.Add(-time.Minute),
			Damaged: out.Ended() && rapid.Bool().Draw(rt, "damaged")}
	}
	return n
}

// tieToUpstream lets a node stream from another, and draws its lineage.
func tieToUpstream(rt *rapid.T, snap *topology.Snapshot, n *topology.Node) {
	up := &snap.Nodes[rapid.IntRange(0, len(snap.Nodes)-1).Draw(rt, "upstream")]
	if rapid.Bool().Draw(rt, "streams") {
		n.SQL.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: up.Host, SenderPort: up.Port,
			Timeline: up.SQL.Timeline}
		n.Agent.UpstreamHost, n.Agent.UpstreamPort, n.Agent.UpstreamSlot = up.Host, up.Port, "repool_node"+n.ID.String()
	}
	n.Lineage = topology.Lineage{Source: anySource(rt, 9), Primary: topology.NodeID(rapid.IntRange(0,
		len(snap.Nodes)-1).Draw(rt, "against")),
		Verdict: rapid.SampledFrom([]topology.Verdict{topology.LineageUnknown, topology.LineageOnLine, topology.LineageOnLine,
			topology.LineageDiverged, topology.LineageForeign}).Draw(rt, "verdict"),
		Point: 0x5000000, TLI: 1, RewindWAL: rapid.Bool().Draw(rt, "rewind WAL"),
		SameTimeline: rapid.IntRange(0, 4).Draw(rt, "same timeline") == 0,
		StreamGap:    rapid.IntRange(0, 4).Draw(rt, "gap") == 0, OwnBytes: 9000, Proof: "drawn"}
}

func drawMemory(rt *rapid.T, id topology.NodeID) NodeMemory {
	m := NodeMemory{Node: id, TargetPrimary: topology.NoNode}
	if rapid.IntRange(0, 3).Draw(rt, "history") > 0 {
		return m
	}
	m.Attempts = rapid.IntRange(0, 5).Draw(rt, "attempts")
	m.LastMethod = rapid.SampledFrom(topology.Methods).Draw(rt, "last method")
	m.LastCode = rapid.SampledFrom([]codes.Code{codes.StartFailed, codes.NotStreaming, codes.RewindFailed}).Draw(rt,
		"last code")
	m.LastFailure = start.Add(-time.Hour)
	m.Asked = rapid.SampledFrom([]string{"", "", "any", "rewind", "base-backup"}).Draw(rt, "asked")
	m.NotStreamingSince = start.Add(-time.Duration(rapid.IntRange(0, 60).Draw(rt, "not streaming")) * time.Second)
	if rapid.IntRange(0, 3).Draw(rt, "parked") == 0 {
		m.Parked, m.ParkedAt = codes.RewindFailed, start
	}
	return m
}
