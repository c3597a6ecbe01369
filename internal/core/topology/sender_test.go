package topology

import (
	"testing"
	"time"
)

// senderPool is node 0, a primary, with nodes 1 and 2, which stream as "walreceiver" from
// a host that pgpool.conf does not name.
func senderPool() []Node {
	at := Source{At: time.Unix(1, 0)}
	nodes := []Node{{ID: 0, Host: "db0", Port: 5432, AppName: "repool_node0"}}
	nodes[0].SQL = SQLFacts{Source: at, Senders: []WALSender{{AppName: "walreceiver", State: "streaming"},
		{AppName: "walreceiver", State: "streaming"}}}
	for id := NodeID(1); id < 3; id++ {
		n := Node{ID: id, Host: "db" + id.String(), Port: 5432, AppName: "repool_node" + id.String()}
		n.SQL = SQLFacts{Source: at, InRecovery: true,
			Receiver: WALReceiver{Status: "streaming", SenderHost: "vip", SenderPort: 5432, AppName: "walreceiver"}}
		nodes = append(nodes, n)
	}
	return nodes
}

func TestSender(t *testing.T) {
	t.Parallel()
	slot := func(nodes []Node, on NodeID, name string) {
		nodes[on].SQL.Slots = append(nodes[on].SQL.Slots, Slot{Name: name, Active: true, Physical: true})
	}
	for name, tt := range map[string]struct {
		edit func(nodes []Node)
		want NodeID
	}{
		"as many senders as receivers of the name": {func([]Node) {}, 0},
		"spelled as in pgpool.conf":                {func(n []Node) { n[1].SQL.Receiver.SenderHost = "db2" }, 2},
		"a sender too few": {func(n []Node) {
			n[0].SQL.Senders = n[0].SQL.Senders[:1]
		}, NoNode},
		"senders of that name on two nodes": {func(n []Node) {
			n[2].SQL.Senders = n[0].SQL.Senders[:1]
		}, NoNode},
		"a sender that only catches up": {func(n []Node) { n[0].SQL.Senders[0].State = "catchup" }, NoNode},
		"a node that does not answer may be the sender": {func(n []Node) {
			n[2].SQL = SQLFacts{Source: Source{Err: "no answer"}}
		}, NoNode},
		"a node that is down is not": {func(n []Node) {
			n[2].SQL = SQLFacts{Source: Source{Err: "refused"}, Refused: true}
		}, 0},
		"by the name of pgpool.conf, where the receiver's is not told": {func(n []Node) {
			n[1].SQL.Receiver.AppName = ""
			n[0].SQL.Senders[0].AppName = "repool_node1"
		}, 0},
		"the name of another node": {func(n []Node) {
			n[1].SQL.Receiver.AppName, n[0].SQL.Senders[0].AppName = "repool_node2", "repool_node2"
		}, NoNode},
		"by its slot": {func(n []Node) {
			n[0].SQL.Senders = nil
			n[1].SQL.Receiver.Slot = "s"
			slot(n, 0, "s")
		}, 0},
		"a slot that two nodes have active": {func(n []Node) {
			n[0].SQL.Senders = nil
			n[1].SQL.Receiver.Slot = "s"
			slot(n, 0, "s")
			slot(n, 2, "s")
		}, NoNode},
		"a slot that another receiver names": {func(n []Node) {
			n[0].SQL.Senders = nil
			n[1].SQL.Receiver.Slot, n[2].SQL.Receiver.Slot = "s", "s"
			slot(n, 0, "s")
		}, NoNode},
		"a slot that is not active": {func(n []Node) {
			n[0].SQL.Senders = nil
			n[1].SQL.Receiver.Slot = "s"
			n[0].SQL.Slots = []Slot{{Name: "s", Physical: true}}
		}, NoNode},
		"no stream": {func(n []Node) { n[1].SQL.Receiver.Status = "" }, NoNode},
		"a primary": {func(n []Node) { n[1].SQL.InRecovery = false }, NoNode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := senderPool()
			tt.edit(nodes)
			if got := Sender(nodes, &nodes[1]); got != tt.want {
				t.Errorf("node 1 streams from node %s, want node %s", got, tt.want)
			}
		})
	}
}
