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
