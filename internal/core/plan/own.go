package plan

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// This file is about failures that say nothing about the node's data: a copy
// would end none of them (hazards 59 to 61).

// noteOwn keeps count of the starts that a node's server refused for a reason of its own.
func (m *NodeMemory) noteOwn(r *topology.RunState, config string) {
	switch {
	case r.Code == codes.ServerConfig && r.Outcome != topology.RunDone:
		m.ConfigFailures++
		m.FailedConfig = config
	case r.Outcome == topology.RunDone && m.LastCode == codes.ServerConfig:
		m.LastCode, m.LastError, m.ConfigFailures, m.FailedConfig = "", "", 0, ""
	case r.Outcome != topology.RunCancelled && !worldChanged(r.Code):
		m.ConfigFailures, m.FailedConfig = 0, ""
	}
}

// refusesToStart says that the node's last run ended because its server does not
// start for a reason of its own, and none has started since.
func (s *subject) refusesToStart() bool {
	return s.m.LastCode == codes.ServerConfig && s.agent && !s.sql &&
		(s.n.Agent.Server == topology.ServerStopped || s.inRepair())
}

// ownReasonStands says that another start would tell nothing new: the
// configuration is the one with which it failed, and the pause is not over.
// Causes that are in no file, such as a port in use, end without a trace here.
func (s *subject) ownReasonStands() bool {
	m := &s.m
	if !s.refusesToStart() || m.LastFailure.IsZero() {
		return false
	}
	return s.n.Agent.ConfigID == m.FailedConfig && s.w.now.Before(s.nextStart())
}

// nextStart is when a server that refused to start is tried again at the latest.
func (s *subject) nextStart() time.Time {
	return s.m.LastFailure.Add(backoff(s.w.pol.BackoffBase, s.w.pol.BackoffMax, s.n.ID, max(s.m.ConfigFailures, 1)))
}

// serverConfig waits for a change, under the run's own words.
func (s *subject) serverConfig() Decision {
	d := s.refuse(codes.ServerConfig, fmt.Sprintf("node %s: %s; it is tried again when the configuration changes, "+
		"or in %s", s.n.ID, word(s.m.LastError), s.nextStart().Sub(s.w.now).Round(roundTo)))
	if r := s.n.Agent.Run; r != nil && r.Code == codes.ServerConfig && r.Hint != "" {
		d.Hint = r.Hint
	}
	return d
}

// copyInVain is what forbids a copy of a node whose data are in order: its server
// has given a reason of its own. A person can ask for the copy all the same.
func (s *subject) copyInVain(m topology.Method) obstacle {
	if !m.Destructive() || !s.refusesToStart() || s.verdict() != topology.LineageOnLine || s.noDirectory() ||
		s.damaged() || s.n.Agent.Control == nil || s.m.Asked == string(m) {
		return obstacle{}
	}
	return obstacle{codes.ServerConfig, "its server does not start for a reason of its own, which a copy would not end"}
}

// heldSlot is the node's slot on the primary where another session than the
// node's own uses it: the node has no WAL receiver, so the session that it has
// itself is gone, or was never there. Nil: it is free, or that is not known.
func (s *subject) heldSlot() *topology.Slot {
	p := s.w.primary
	if p == nil || p == s || !s.agent {
		return nil
	}
	if s.sql && s.n.SQL.Receiver.Status != "" ||
		!s.sql && s.n.Agent.Server != topology.ServerStopped && !s.inRepair() {
		return nil
	}
	if s.noDirectory() {
		// Its own server may stream on although its directory was deleted under it. The
		// run stops that, and waits for the slot before it copies.
		return nil
	}
	for i, slot := range p.n.SQL.Slots {
		if slot.Name == s.slot() && slot.Active {
			return &p.n.SQL.Slots[i]
		}
	}
	return nil
}

// heldPatience is longer than PostgreSQL keeps the session of a host that has
// vanished: wal_sender_timeout is a minute by default. Until then nobody has to do anything.
const heldPatience = 90 * time.Second

// noteHeld keeps since when a node's slot has been in use by another session.
func (s *subject) noteHeld() {
	if s.heldSlot() == nil {
		s.m.SlotHeldSince = time.Time{}
	} else if s.m.SlotHeldSince.IsZero() {
		s.m.SlotHeldSince = s.w.now
	}
}

// slotHeld waits until the slot is free: no method brings the node to stream before.
func (s *subject) slotHeld() Decision {
	slot, p := s.heldSlot(), s.w.primary
	who := "another session"
	if slot.PID != 0 {
		who = fmt.Sprintf("process %d", slot.PID)
	}
	for _, snd := range p.n.SQL.Senders {
		if snd.PID == slot.PID && slot.PID != 0 {
			from := "a local socket"
			if snd.Addr != "" {
				from = snd.Addr
			}
			who += fmt.Sprintf(" (application %q, from %s)", snd.AppName, from)
		}
	}
	d := s.decide(Wait, codes.SlotHeld, fmt.Sprintf("slot %s on node %s is in use by %s: node %s cannot stream before "+
		"that ends", slot.Name, p.n.ID, who, s.n.ID))
	if s.w.now.Sub(s.m.SlotHeldSince) < heldPatience {
		d.Severity, d.Hint = codes.Work, ""
	} else if slot.PID != 0 {
		d.Hint = fmt.Sprintf("see what it is; on node %s: SELECT pg_terminate_backend(%d)", p.n.ID, slot.PID)
	}
	return d
}

// replaysFirst says that the node is set to follow the primary and has WAL to
// replay before it asks for more.
func (s *subject) replaysFirst() bool {
	return s.sql && s.standbyUp() && s.upstreamRight() && s.n.SQL.Replaying()
}

// replayCause says what the node's replay waits for; empty: it is at work.
func (s *subject) replayCause() string {
	switch e := s.n.SQL.Startup; e {
	case "", "running":
		return ""
	case "RecoveryConflictSnapshot", "RecoveryConflictTablespace", "BufferPin", "relation":
		return "a query on it conflicts with the replay (" + e + ")"
	case "RecoveryApplyDelay":
		return "recovery_min_apply_delay is set"
	case "RecoveryPause":
		return "it is paused"
	case "RestoreCommand":
		return "restore_command is at work"
	default:
		return "it waits for " + e
	}
}

// replaying waits: slow is not broken, and a copy of what is on the line would have as
// much to replay.
func (s *subject) replaying() Decision {
	f := &s.n.SQL
	reason := fmt.Sprintf("node %s has replayed to %s, and streams once it has replayed the WAL that it has", s.n.ID,
		f.Replay)
	cause := s.replayCause()
	if cause != "" {
		reason += "; " + cause
	}
	switch {
	case !s.streamPatienceOver():
		return s.decide(Wait, codes.Replaying, reason)
	case f.ReplayPaused:
		return s.decide(Wait, codes.ReplayPaused, reason)
	case cause == "":
		return s.decide(Wait, codes.Replaying, reason)
	}
	return s.decide(Wait, codes.ReplayStalled, reason)
}
