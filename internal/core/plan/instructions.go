package plan

import (
	"slices"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

const (
	// consentAge is how long a consent to a resync may wait on a node until a controller
	// that has not heard of it yet takes it. What a person agreed to long ago is not
	// what the node holds now.
	consentAge = time.Hour
	// toldFor is longer than any question to an agent may take: an answer that came so
	// long after another one was asked for after it.
	toldFor = 15 * time.Second
)

// Heed takes what a node's agent keeps of people's instructions into the memory: each
// that is newer than what was heard of before, in their order. at is when the agent
// answered. An agent whose numbers have fallen back has lost them, with its work
// directory: a hold then is as one that no agent keeps (Hold.Kept).
func Heed(mem Memory, node topology.NodeID, in topology.Instructions, at, now time.Time) Memory {
	mem = mem.clone()
	n := mem.node(node)
	newest := max(in.Node.Number, in.Resync.Number)
	if newest < n.Told && in.Unreadable == "" {
		if at.Sub(n.ToldAt) < toldFor {
			return mem // an answer from before the newest
		}
		n.Told = 0
		mem.unkept(node)
	}
	news := []topology.Instruction{in.Node, in.Resync}
	slices.SortFunc(news, func(a, b topology.Instruction) int { return int(a.Number) - int(b.Number) })
	for _, i := range news {
		if i.Number > n.Told && (i.Word != topology.WordResync || !in.Used && now.Sub(i.At) < consentAge) {
			mem = mem.told(node, i, now)
			n = mem.node(node)
		}
	}
	if newest > n.Told {
		n.Told, n.ToldAt = newest, now
	}
	if h, held := in.Held(now); held && in.Unreadable != "" && !mem.HasHold(node) {
		mem = AddHold(mem, holdOf(node, h))
	}
	if in.Pool.Number > mem.Pool.Number {
		mem = mem.told(topology.NoNode, in.Pool, now)
		mem.Pool = in.Pool
	}
	return mem
}

// heedAll hears what people have said on every node whose agent answers.
func heedAll(mem Memory, snap *topology.Snapshot, pol Policy, now time.Time) Memory {
	for i := range snap.Nodes {
		if n := &snap.Nodes[i]; n.Agent.Instructions != nil && n.Agent.Fresh(now, pol.MaxFactAge) {
			mem = Heed(mem, n.ID, *n.Agent.Instructions, n.Agent.At, now)
		}
	}
	return mem
}

// told applies one instruction.
func (m Memory) told(node topology.NodeID, i topology.Instruction, now time.Time) Memory {
	switch i.Word {
	case topology.WordHold:
		if !i.Holds(now) {
			return EndHold(m, node)
		}
		return AddHold(m, holdOf(node, i))
	case topology.WordRelease:
		return Release(m, node)
	case topology.WordEndHold:
		return EndHold(m, node)
	case topology.WordResync:
		return Consent(m, node, i.Method)
	}
	return m
}

func holdOf(node topology.NodeID, i topology.Instruction) Hold {
	return Hold{Node: node, Who: i.Who, Why: i.Why, Since: i.At, Until: i.Until, Kept: true}
}

// unkept marks the hold of a node as one that its agent does not keep.
func (m *Memory) unkept(node topology.NodeID) {
	for i := range m.Holds {
		if m.Holds[i].Node == node {
			m.Holds[i].Kept = false
		}
	}
}

// NextPool is the number for a new instruction for the whole pool: higher than any that
// is known.
func (m Memory) NextPool(snap *topology.Snapshot) uint64 {
	next := m.Pool.Number
	for i := range snap.Nodes {
		if in := snap.Nodes[i].Agent.Instructions; in != nil {
			next = max(next, in.Pool.Number)
		}
	}
	return next + 1
}

// PoolTold notes an instruction for the whole pool that was given to this controller.
func PoolTold(mem Memory, i topology.Instruction, now time.Time) Memory {
	if i.Number <= mem.Pool.Number {
		return mem
	}
	mem = mem.clone().told(topology.NoNode, i, now)
	mem.Pool = i
	return mem
}

// Unkept are the instructions that a node's agent does not keep yet and should: a hold
// of the node that was given while it did not answer, or to an older repool, and the
// newest one for the whole pool. None where the agent's release keeps none.
func (m Memory) Unkept(n *topology.Node, now time.Time) (out []topology.Instruction) {
	in := n.Agent.Instructions
	if !n.Agent.OK() || in == nil {
		return nil
	}
	for _, h := range m.Holds {
		if h.Kept || !h.Covers(n.ID, now) {
			continue
		}
		i := topology.Instruction{Word: topology.WordHold, Who: h.Who, Why: h.Why, At: h.Since, Until: h.Until}
		if h.Node == topology.NoNode {
			i.Pool, i.Number = true, max(m.Pool.Number, in.Pool.Number)+1
		}
		out = append(out, i)
	}
	if in.Pool.Number < m.Pool.Number {
		out = append(out, m.Pool)
	}
	return out
}
