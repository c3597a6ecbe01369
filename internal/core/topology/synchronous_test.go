package topology

import (
	"slices"
	"testing"
	"time"
)

func TestSyncNeed(t *testing.T) {
	t.Parallel()
	for names, want := range map[string]int{
		"*": 1, "a": 1, "a, b": 1, "FIRST 2 (a, b, c)": 2, "first 3(a,b,c)": 3, "ANY 2 (*)": 2, " any 12 ( a )": 12,
		"2 (a, b)": 2, "any": 1, `"first 2 (x", b`: 1,
	} {
		if got := SyncNeed(names); got != want {
			t.Errorf("%q: %d, want %d", names, got, want)
		}
	}
}

// look is one look at a primary, node 0, with three standbys in the pool.
type look struct {
	names   string
	at      LSN
	senders []WALSender
}

func sender(name, state string, flush LSN) WALSender {
	return WALSender{AppName: name, State: "streaming", SyncState: state, Flush: flush}
}

func (l look) snapshot() *Snapshot {
	now := Source{At: time.Unix(1, 0)}
	return &Snapshot{Nodes: []Node{
		{ID: 0, AppName: "n0", SQL: SQLFacts{Source: now, Current: l.at, SyncNames: l.names, Senders: l.senders}},
		{ID: 1, AppName: "n1", SQL: SQLFacts{Source: now, InRecovery: true}},
		{ID: 2, AppName: "n2", SQL: SQLFacts{Source: now, InRecovery: true, Receiver: WALReceiver{Slot: "own_slot"}}},
		{ID: 3, AppName: "n3"},
	}}
}

func TestWhoHoldsAcknowledgedCommits(t *testing.T) {
	t.Parallel()
	const anyOne = "ANY 1 (*)"
	q := func(name string, flush LSN) WALSender { return sender(name, "quorum", flush) }
	for name, c := range map[string]struct {
		looks   []look
		members []NodeID
		answers int
	}{
		"no synchronous standbys": {looks: []look{{"", 9, []WALSender{sender("n1", "async", 9)}}}, answers: 1},
		"FIRST 1, and one that could become it": {
			looks:   []look{{"n1, n2", 9, []WALSender{sender("n1", "sync", 9), sender("n2", "potential", 9)}}},
			members: []NodeID{1}, answers: 1},
		"ANY 1 of three": {
			looks:   []look{{anyOne, 9, []WALSender{q("n1", 9), q("n2", 8), q("n3", 1)}}},
			members: []NodeID{1, 2, 3}, answers: 3},
		"first seen while much is written: anybody could hold it": {
			looks:   []look{{anyOne, 9, []WALSender{q("n1", 8)}}},
			members: []NodeID{1, 2, 3}, answers: 3},
		"and once that has arrived, the one that streams": {
			looks:   []look{{anyOne, 9, []WALSender{q("n1", 8)}}, {anyOne, 19, []WALSender{q("n1", 9)}}},
			members: []NodeID{1}, answers: 1},
		"one leaves, and the other lags: the one that left may hold a commit alone": {
			looks: []look{{anyOne, 9, []WALSender{q("n1", 9), q("n2", 9)}}, {anyOne, 30, []WALSender{q("n1", 9)}},
				{anyOne, 40, []WALSender{q("n1", 29)}}},
			members: []NodeID{1, 2}, answers: 2},
		"and once the other has caught up": {
			looks: []look{{anyOne, 9, []WALSender{q("n1", 9), q("n2", 9)}}, {anyOne, 30, []WALSender{q("n1", 9)}},
				{anyOne, 40, []WALSender{q("n1", 30)}}},
			members: []NodeID{1}, answers: 1},
		"all leave: nothing is acknowledged, and the last ones hold it all": {
			looks:   []look{{anyOne, 9, []WALSender{q("n1", 9)}}, {anyOne, 30, nil}},
			members: []NodeID{1}, answers: 1},
		"FIRST 1 changes to the next": {
			looks: []look{{"n1, n2", 9, []WALSender{sender("n1", "sync", 9), sender("n2", "potential", 1)}},
				{"n1, n2", 30, []WALSender{sender("n2", "sync", 20)}}},
			members: []NodeID{1, 2}, answers: 2},
		"one joins: it counts at once": {
			looks:   []look{{anyOne, 9, []WALSender{q("n1", 9)}}, {anyOne, 30, []WALSender{q("n1", 20), q("n2", 20)}}},
			members: []NodeID{1, 2}, answers: 2},
		"the setting is emptied": {
			looks:   []look{{anyOne, 9, []WALSender{q("n1", 9)}}, {"", 30, nil}},
			answers: 1},
		"a slot names the node, the name does not": {
			looks: []look{{anyOne, 9, []WALSender{
				{AppName: "walreceiver", SyncState: "quorum", Flush: 9, Slot: "own_slot"},
				{AppName: "walreceiver", SyncState: "quorum", Flush: 9, Slot: "repool_node3"}}}},
			members: []NodeID{2, 3}, answers: 2},
		"one name twice, and no slots: they could be anybody": {
			looks:   []look{{anyOne, 9, []WALSender{q("n1", 9), q("n1", 9)}}},
			members: []NodeID{NoNode, NoNode}, answers: 2},
		"a program that keeps WAL is synchronous, too": {
			looks:   []look{{anyOne, 9, []WALSender{q("pg_receivewal", 9), q("n1", 9)}}},
			members: []NodeID{NoNode, 1}, answers: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *Synchronous
			for _, l := range c.looks {
				snap := l.snapshot()
				before := s
				s = s.After(snap, &snap.Nodes[0])
				if again := s.After(snap, &snap.Nodes[0]); before != nil && !again.Equal(s) {
					t.Errorf("the same look changes %+v to %+v", s, again)
				}
			}
			var got []NodeID
			for _, m := range s.Members {
				got = append(got, m.Node)
			}
			if !slices.Equal(got, c.members) || s.Answers() != c.answers {
				t.Errorf("members %v, %d answers, want %v, %d", got, s.Answers(), c.members, c.answers)
			}
		})
	}
}
