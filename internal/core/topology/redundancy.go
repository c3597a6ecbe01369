package topology

import "slices"

// Missing lists the nodes that the pool lacks: those that the first
// Pgpool-II does not route to, that do not answer, or that are neither its
// primary nor a standby that streams on the primary's timeline. known is false
// while that Pgpool-II does not answer.
func (s *Snapshot) Missing() (nodes []NodeID, known bool) {
	if len(s.Pools) == 0 || !s.Pools[0].OK() {
		return nil, false
	}
	pool := &s.Pools[0]
	primary := s.Node(pool.Primary)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		in := pool.Node(n.ID)
		if in == nil || !in.Attached() || !n.SQL.OK() || !n.serves(primary) {
			nodes = append(nodes, n.ID)
		}
	}
	return nodes, true
}

// serves says whether the node does what its role in the pool asks of it.
func (n *Node) serves(primary *Node) bool {
	switch {
	case primary == nil:
		return false
	case n.ID == primary.ID:
		return !n.SQL.InRecovery
	}
	r := n.SQL.Receiver
	return n.SQL.InRecovery && r.Status == "streaming" && (!primary.SQL.OK() || r.Timeline == primary.SQL.Timeline)
}

// Primary returns the node that accepts writes on the highest timeline of those
// that answer, or nil: what a person would call the primary.
func (s *Snapshot) Primary() *Node {
	var best *Node
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.SQL.OK() && !n.SQL.InRecovery && (best == nil || n.SQL.Timeline > best.SQL.Timeline) {
			best = n
		}
	}
	return best
}

// Detached says whether the first Pgpool-II does not route to the node; false
// while it does not answer.
func (s *Snapshot) Detached(id NodeID) bool {
	attached := func(n PoolNode) bool { return n.ID == id && n.Attached() }
	return len(s.Pools) > 0 && s.Pools[0].OK() && !slices.ContainsFunc(s.Pools[0].Nodes, attached)
}
