package plan

import (
	"slices"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// What a person says changes the memory through these functions alone. Each
// returns a memory that shares nothing with its argument.

// AddHold puts a node, or with topology.NoNode the whole pool, on hold. It
// replaces an earlier hold of the same.
func AddHold(mem Memory, h Hold) Memory {
	mem = EndHold(mem, h.Node)
	mem.Holds = append(mem.Holds, h)
	return mem
}

// EndHold ends the hold of a node, or with topology.NoNode that of the whole pool.
// Of a pool on hold, a node cannot be released alone. Without a hold it does nothing.
func EndHold(mem Memory, node topology.NodeID) Memory {
	mem = mem.clone()
	mem.Holds = slices.DeleteFunc(mem.Holds, func(h Hold) bool { return h.Node == node })
	return mem
}

// Release ends the hold and the parking of a node, and lets Pgpool-II be nudged again.
func Release(mem Memory, node topology.NodeID) Memory {
	mem = EndHold(mem, node)
	mem.Nudges, mem.LastNudge = 0, time.Time{}
	for i := range mem.Nodes {
		if mem.Nodes[i].Node == node {
			mem.Nodes[i].freshStart()
		}
	}
	return mem
}

// Consent records that a person agrees to resync the node by that method, or by
// any with an empty one, and ends its parking. A hold stays.
func Consent(mem Memory, node topology.NodeID, m topology.Method) Memory {
	mem = mem.clone()
	n := mem.node(node)
	n.freshStart()
	n.Asked = string(m)
	if m == "" {
		n.Asked = askedAny
	}
	return mem
}

// HasHold says whether there is a hold of that very node, or with topology.NoNode of the
// whole pool, in force or run out.
func (m Memory) HasHold(node topology.NodeID) bool {
	return slices.ContainsFunc(m.Holds, func(h Hold) bool { return h.Node == node })
}

// HoldOf is the hold of that very node, or nil.
func (m Memory) HoldOf(node topology.NodeID) *Hold {
	i := slices.IndexFunc(m.Holds, func(h Hold) bool { return h.Node == node })
	if i < 0 {
		return nil
	}
	return &m.Holds[i]
}

// freshStart gives a node all its attempts back.
func (m *NodeMemory) freshStart() {
	m.unpark()
	m.Attempts, m.LastFailure, m.Attaches = 0, time.Time{}, 0
	m.IgnoredRequests = Ignored{}
	m.Fences, m.LastFence, m.LastAttach = 0, time.Time{}, time.Time{}
}

func (m *NodeMemory) unpark() { m.Parked, m.ParkedWhy, m.ParkedAt = "", "", time.Time{} }

// Durable is what of the memory must survive a crash: parked nodes, holds, the last
// primary. The next pass finds the rest again, as each tick of a verification.
func (m Memory) Durable() Memory {
	m = m.clone()
	m.PoolBlindSince = time.Time{}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		n.Target, n.ProgressAt, n.ProgressLSN = 0, time.Time{}, 0
		n.HealthySince, n.NotStreamingSince, n.SlotHeldSince = time.Time{}, time.Time{}, time.Time{}
		n.StreamBreaks, n.StreamLSN, n.BrokeFirst = 0, 0, time.Time{}
		if n.IgnoredRequests.Count == 0 {
			n.IgnoredRequests = Ignored{}
		}
	}
	return m
}
