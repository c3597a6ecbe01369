package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// down makes a node's server and Pgpool-II's opinion of it those of a node that
// has failed, with an agent that gives no answer for that reason.
func (s *scene) down(id topology.NodeID, errCode codes.Code) *scene {
	n := s.node(id)
	n.SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "connection refused"}, Refused: true}
	n.Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no answer"}, ErrCode: errCode}
	n.Lineage = topology.Lineage{}
	s.snap.Pools[0].Nodes[id].Status = topology.PoolDown
	return s
}

func decisionOf(t *testing.T, s *scene, id topology.NodeID) Decision {
	t.Helper()
	_, ds := Step(s.mem, s.snap, s.pol, s.now)
	for _, d := range ds {
		if d.Node == id {
			return d
		}
	}
	t.Fatalf("no decision for node %s", id)
	return Decision{}
}

// Why an agent does not answer is told by a code of its own, and nothing is done.
func TestAgentThatDoesNotAnswerHasItsReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason codes.Code
		want   codes.Code
	}{
		{"", codes.AgentUnreachable}, {"never heard of", codes.AgentUnreachable},
		{"agent-version-skew", codes.AgentVersionSkew}, {"agent-wrong-node", codes.AgentWrongNode},
		{"agent-foreign-system", codes.AgentForeign},
		{"agent-not-allowed", codes.AgentNotAllowed}, {"agent-certificate", codes.AgentCertificate},
		{"agent-host-key", codes.AgentHostKey},
		{"agent-not-running", codes.AgentNotRunning},
	} {
		d := decisionOf(t, newScene(t).down(1, c.reason), 1)
		if d.Code != c.want || d.Action != Wait || d.Request != nil {
			t.Errorf("%q: %s %s, want to wait under %s", c.reason, d.Action, d.Code, c.want)
		}
	}
}

// A node that serves without its agent stays healthy, and is told of: its next
// failure could not be ended.
func TestHealthyWithoutItsAgentIsAWarning(t *testing.T) {
	t.Parallel()
	if d := decisionOf(t, newScene(t), 1); d.Code != codes.Healthy || strings.Contains(d.Reason, "warning") {
		t.Errorf("with its agent: %s: %s", d.Code, d.Reason)
	}
	for reason, want := range map[codes.Code]codes.Code{
		"": codes.AgentUnreachable, "agent-certificate": codes.AgentCertificate} {
		s := newScene(t)
		s.node(1).Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no answer"}, ErrCode: reason}
		d := decisionOf(t, s, 1)
		if d.Code != codes.Healthy || d.Severity != codes.OK || d.Warning != want || d.Hint == "" ||
			!strings.Contains(d.Reason, "warning, "+string(want)+":") {
			t.Errorf("%q: %s %s, warning %q: %s", reason, d.Severity, d.Code, d.Warning, d.Reason)
		}
	}
}

// The primary's agent is the one that would fence it and bring it back.
func TestPrimaryWithoutItsAgentIsAWarning(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	decisionOf(t, s, 0) // once, so that the primary's line is remembered
	mem, _ := Step(s.mem, s.snap, s.pol, s.now)
	s.mem = mem
	s.node(0).Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no answer"}}
	d := decisionOf(t, s, 0)
	if d.Code != codes.Primary || d.Severity != codes.OK || d.Warning != codes.AgentUnreachable {
		t.Errorf("%s %s, warning %q: %s", d.Severity, d.Code, d.Warning, d.Reason)
	}
}

// An agent of another cluster answers at the address: what it says of its data
// must not be taken for the node's, whose server runs and streams.
func TestAgentOfAnotherClusterIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.node(1).Agent.Control.SystemID = otherSys
	s.snap.Pools[0].Nodes[1].Status = topology.PoolDown
	s.node(1).Lineage = topology.Lineage{}
	s.node(1).SQL.Receiver = topology.WALReceiver{}
	if d := decisionOf(t, s, 1); d.Code != codes.AgentForeign || d.Request != nil {
		t.Errorf("got %s %s: %s", d.Action, d.Code, d.Reason)
	}
	// With its own server silent, the stranger's data are another cluster's.
	s.node(1).SQL = topology.SQLFacts{Source: topology.Source{At: s.now.Add(-time.Second), Err: "no route to host"}}
	if d := decisionOf(t, s, 1); d.Code != codes.ForeignSystem || d.Request != nil {
		t.Errorf("without SQL: %s %s: %s", d.Action, d.Code, d.Reason)
	}
}
