package plan

import (
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// checkDecision is what every decision must offer a person.
func checkDecision(t *testing.T, d Decision) {
	t.Helper()
	if d.Reason == "" || len(d.Evidence) == 0 {
		t.Errorf("a decision without reason or evidence: %+v", d)
	}
	if info, known := codes.Explain(d.Code); !known {
		t.Errorf("code %s is not documented", d.Code)
	} else if d.Severity == codes.Refused && d.Hint == "" && info.Do != "" {
		t.Errorf("%s: a refusal without a hint", d.Code)
	}
	if d.Action == Resync && (d.Request == nil || d.Method == "" || d.Upstream == topology.NoNode) {
		t.Errorf("an incomplete resync: %+v", d)
	}
}

// The changes of the world that the table above uses.

func diverge(s *scene, id topology.NodeID) *scene {
	s.lineage(id, 0, topology.LineageDiverged)
	s.node(id).SQL.Receiver = topology.WALReceiver{}
	return s
}

func hintsOnly(n *topology.Node) {
	n.Agent.Control.Checksums, n.Agent.Control.WALLogHints = false, true
}

func lost(s *scene, id topology.NodeID, d topology.DirState) *scene {
	s.stopped(id)
	n := s.node(id)
	n.Agent = topology.Inspection{Source: n.Agent.Source, Dir: d, Server: topology.ServerStopped, FreeBytes: 100 * gib}
	n.Lineage = topology.Lineage{}
	return s
}

func silent(s *scene, id topology.NodeID) *scene {
	s.node(id).SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}}
	return s
}

func noAgent(s *scene, id topology.NodeID) {
	n := s.node(id)
	n.Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no such host"}}
	n.Lineage = topology.Lineage{}
}

func astray(s *scene, id topology.NodeID) *scene {
	n := s.node(id)
	n.Agent.UpstreamHost, n.SQL.Receiver = "10.0.0.99", topology.WALReceiver{}
	return s
}

func startingAstray(s *scene, id topology.NodeID) {
	s.node(id).Agent.Server, s.node(id).Agent.UpstreamHost = topology.ServerStarting, ""
}

func unslotted(s *scene, id topology.NodeID) {
	s.node(id).Agent.UpstreamSlot, s.node(id).SQL.Receiver = "", topology.WALReceiver{}
}

func alias(s *scene, id topology.NodeID) *scene {
	s.node(id).SQL.Receiver.SenderHost = "db0.example"
	return s
}

func listed(s *scene, id topology.NodeID) {
	s.node(0).SQL.Senders = []topology.WALSender{{AppName: "repool_node" + id.String(), State: "streaming"}}
}

func modes(m topology.Method, mode Mode) map[topology.Method]Mode {
	return map[topology.Method]Mode{m: mode}
}
