package topology

// Sender is the node that n's WAL receiver streams from, as far as it is proven. A
// standby may spell its upstream's host in any way: as pgpool.conf does, by a name, an
// address, a virtual address or a socket directory. In the order of their strength the
// proofs are:
//
//   - the receiver's host and port are spelled as those of one node;
//   - the receiver's slot is active on one node, and no other receiver names that slot;
//   - one node, and no other, lists streaming WAL senders with the receiver's application
//     name, at least as many as there are nodes whose receivers have that name. For a name
//     that is not the node's own in pgpool.conf, such as walreceiver, every node must have
//     been asked.
//
// NoNode: n does not stream, or from whom is not known, which is not "from the wrong
// node". Facts of nodes that are too old must have been taken out.
func Sender(nodes []Node, n *Node) NodeID {
	r := &n.SQL.Receiver
	if !n.SQL.OK() || !n.SQL.InRecovery || r.Status != "streaming" {
		return NoNode
	}
	for i := range nodes {
		if u := &nodes[i]; u.ID != n.ID && u.Host == r.SenderHost && u.Port == r.SenderPort {
			return u.ID
		}
	}
	if id := senderBySlot(nodes, n); id != NoNode {
		return id
	}
	return senderByName(nodes, n)
}

func senderBySlot(nodes []Node, n *Node) NodeID {
	slot, found := n.SQL.Receiver.Slot, NoNode
	if slot == "" {
		return NoNode
	}
	for i := range nodes {
		u := &nodes[i]
		if u.ID == n.ID || !u.SQL.OK() {
			continue
		}
		if u.SQL.Receiver.Slot == slot {
			return NoNode
		}
		for _, s := range u.SQL.Slots {
			if s.Name != slot || !s.Active || !s.Physical {
				continue
			}
			if found != NoNode {
				return NoNode
			}
			found = u.ID
		}
	}
	return found
}

func senderByName(nodes []Node, n *Node) NodeID {
	name := n.receiverName()
	if name == "" {
		return NoNode
	}
	receivers, senders, found := 0, 0, NoNode
	for i := range nodes {
		u := &nodes[i]
		asked := u.SQL.OK() || u.SQL.Refused
		if !asked && name != n.AppName || u.ID != n.ID && u.AppName == name {
			return NoNode
		}
		if u.SQL.OK() && u.SQL.Receiver.Status == "streaming" && u.receiverName() == name {
			receivers++
		}
		if u.ID == n.ID || !u.SQL.OK() {
			continue
		}
		listed := 0
		for _, s := range u.SQL.Senders {
			if s.AppName == name && s.State == "streaming" {
				listed++
			}
		}
		switch {
		case listed == 0:
		case found != NoNode:
			return NoNode
		default:
			senders, found = listed, u.ID
		}
	}
	if senders < receivers {
		return NoNode
	}
	return found
}

// receiverName is the application name of the node's WAL receiver: its own word, else
// what pgpool.conf calls it.
func (n *Node) receiverName() string {
	if n.SQL.Receiver.AppName != "" {
		return n.SQL.Receiver.AppName
	}
	return n.AppName
}
