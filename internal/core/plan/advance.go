package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// Advance records what is really being done: taken are the decisions of the newest
// Step that the caller carries out now. Rate limits and the count of attaches rest
// on it, so a decision that could not be carried out, for a node that is busy or a
// controller that only watches, leaves no mark and is proposed again. How a request
// ended is not reported: it shows in the next snapshot.
//
// mem is what Step returned. It is not changed, and nothing of it is shared.
func Advance(mem Memory, taken []Decision, pol Policy, now time.Time) Memory {
	mem = mem.clone()
	for _, d := range taken {
		m := mem.node(d.Node)
		switch d.Action {
		case Attach:
			m.LastAttach = now
			m.Attaches++
			m.IgnoredRequests.add(now)
			// The primary is never parked: without it nothing works.
			if m.Attaches > maxAttaches && d.Code != codes.PrimaryDetached {
				m.park(codes.Flapping, fmt.Sprintf("attached %d times, and the node never stayed attached for %s", m.Attaches-1,
					pol.StableFor), now)
			}
		case Detach:
			m.LastDetach = now
			m.IgnoredRequests.add(now)
		case Fence:
			m.LastFence = now
			m.Fences++
		case Resync:
			m.LastResync = now
		case DropSlots:
			m.LastDropSlots = now
		case Nudge:
			mem.LastNudge = now
			mem.Nudges++
		}
	}
	return mem
}

// clone shares nothing with m.
func (m Memory) clone() Memory {
	m.Nodes, m.Holds, m.History = slices.Clone(m.Nodes), slices.Clone(m.Holds), cloneHistory(m.History)
	return m
}

// node is the memory of one node, made where there is none.
func (m *Memory) node(id topology.NodeID) *NodeMemory {
	i, found := slices.BinarySearchFunc(m.Nodes, id, func(n NodeMemory,
		id topology.NodeID) int {
		return int(n.Node) - int(id)
	})
	if !found {
		m.Nodes = slices.Insert(m.Nodes, i, newNodeMemory(id))
	}
	return &m.Nodes[i]
}

func newNodeMemory(id topology.NodeID) NodeMemory {
	return NodeMemory{Node: id, TargetPrimary: topology.NoNode}
}
