package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// idleSlots are the slots of repool's on a standby that nobody uses or will ask for,
// sorted. A former primary has them, since its standbys streamed through them. They
// keep its WAL, and with hot_standby_feedback what VACUUM would remove on the primary.
func (s *subject) idleSlots() (names []string) {
	if !s.sql || !s.n.SQL.InRecovery || s == s.w.primary {
		return nil
	}
	for _, slot := range s.n.SQL.Slots {
		if of, idle := slot.Idle(); idle && !s.mayServe(of) {
			names = append(names, slot.Name)
		}
	}
	slices.Sort(names)
	return names
}

// mayServe says that node of may want to stream from this standby through its slot,
// which can be idle for a moment only. That is excluded for the primary, for a node
// that streams from the primary or is set to, for one that is down and out of the pool
// and will be set to by repool, and for one that has left the pool: repool makes slots
// on primaries, and points every node to the primary.
func (s *subject) mayServe(of topology.NodeID) bool {
	m := s.w.node(of)
	switch {
	case m == nil || m == s || m == s.w.primary:
		return false
	case m.streams() || m.agent && m.upstreamRight():
		return false
	}
	return m.sql || m.attached || m.hold() != nil || s.w.pol.modeOf(topology.MethodFollow) != Auto
}

// mayDropSlots says that the node is well and has idle slots, and that they were not
// requested to be dropped a moment ago.
func (s *subject) mayDropSlots() bool {
	return s.healthy() && s.agent && s.w.pool == agrees && s.w.now.Sub(s.m.LastDropSlots) >= dropSlotsAgain &&
		len(s.idleSlots()) > 0
}

func (s *subject) dropSlots() Decision {
	names := s.idleSlots()
	d := s.decide(DropSlots, codes.IdleSlots, fmt.Sprintf("%s; it still has %s, which nobody uses on a standby",
		s.wellAndBehind(), slotsText(names)))
	d.Slots = names
	return d
}

// slotsLeft tells of idle slots that could not be dropped, or not yet.
func (s *subject) slotsLeft() string {
	names := s.idleSlots()
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("; it still has %s, which nobody uses: repool check", slotsText(names))
}

func slotsText(names []string) string {
	if len(names) == 1 {
		return "the slot " + names[0]
	}
	return "the slots " + strings.Join(names, ", ")
}
