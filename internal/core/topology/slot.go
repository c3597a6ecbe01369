package topology

import (
	"strconv"
	"strings"
)

// slotPrefix and a node's id are the name of its replication slot.
const slotPrefix = "repool_node"

// SlotName is the physical replication slot of a node, on whichever node is its
// upstream. Every part of repool takes the name from here.
func SlotName(id NodeID) string { return slotPrefix + strconv.Itoa(int(id)) }

// SlotNode is the reverse of SlotName, also for a node that has left the pool. ok is
// false for every name that SlotName does not give.
func SlotNode(name string) (id NodeID, ok bool) {
	digits, ok := strings.CutPrefix(name, slotPrefix)
	if !ok {
		return NoNode, false
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || SlotName(NodeID(n)) != name {
		return NoNode, false
	}
	return NodeID(n), true
}

// Slot is one row of pg_replication_slots.
type Slot struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`
	// PID is the process that uses it; zero: none, or unknown.
	PID       int    `json:"pid,omitempty"`
	Physical  bool   `json:"physical"`
	Restart   LSN    `json:"restart"`
	WALStatus string `json:"wal_status,omitempty"` // reserved, extended, unreserved, lost
	// Horizon says that the slot holds back VACUUM: its xmin or catalog_xmin is set.
	// XminAge is how many transactions ago the older of them was; zero without Horizon.
	Horizon bool   `json:"horizon,omitempty"`
	XminAge uint64 `json:"xmin_age,omitempty"`
}

// Idle says that repool made the slot, for that node, and that nobody uses it now. An
// idle slot of a node keeps WAL, and what VACUUM would remove, all the same.
func (s Slot) Idle() (node NodeID, idle bool) {
	node, ours := SlotNode(s.Name)
	return node, ours && s.Physical && !s.Active
}
