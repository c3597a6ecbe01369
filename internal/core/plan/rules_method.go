package plan

import (
	"fmt"

	"github.com/repool/repool/internal/core/topology"
)

// methodRules: the node is out of its place, its facts are fresh, and it can
// be judged. Each entry names the situation and the methods that end it,
// cheapest first.
var methodRules = []rule{
	{CodeForeignDirectory, func(s *subject) bool { return s.n.Agent.Dir == topology.DirForeign }, func(s *subject) Decision {
		return s.decide(None, CodeForeignDirectory, "the node's data directory is not empty and holds no PostgreSQL data: it is left untouched")
	}},
	{CodeHalfDone, (*subject).damaged, func(s *subject) Decision {
		return s.resync(CodeHalfDone, "an earlier "+string(s.n.Agent.Run.Method)+" was broken off half-way: the directory must never be started", topology.MethodBaseBackup)
	}},
	{CodeNoData, (*subject).noDirectory, func(s *subject) Decision {
		return s.resync(CodeNoData, "the node's data directory is "+string(s.n.Agent.Dir), topology.MethodBaseBackup)
	}},
	{CodeGarbledControl, func(s *subject) bool { return s.n.Agent.Control == nil }, (*subject).garbled},
	{CodeDiverged, func(s *subject) bool { return s.verdict() == topology.LineageDiverged }, func(s *subject) Decision {
		l := s.lineage()
		return s.resync(CodeDiverged, fmt.Sprintf("node %s holds WAL of its own past %s on timeline %s", s.n.ID, l.Point, l.TLI), topology.MethodRewind, topology.MethodBaseBackup)
	}},
	{CodeUnrelatedHistory, func(s *subject) bool { return s.verdict() == topology.LineageForeign }, func(s *subject) Decision {
		if s.m.Asked == "" {
			return s.decide(None, CodeUnrelatedHistory, "the node's history shares no timeline with the primary's")
		}
		return s.resync(CodeUnrelatedHistory, "the node's history shares no timeline with the primary's, and a person asked to resync it", topology.MethodBaseBackup)
	}},
	{CodeWALGone, func(s *subject) bool { return s.walGone() && (s.down() && s.n.Agent.StandbySignal || s.standbyUp()) }, func(s *subject) Decision {
		return s.resync(CodeWALGone, "the primary no longer has the WAL that the node needs next", topology.MethodBaseBackup)
	}},
	{CodeLineageUnknown, func(s *subject) bool { return s.verdict() != topology.LineageOnLine }, (*subject).noLineage},
	{CodeStandbyDown, func(s *subject) bool { return s.startable() }, func(s *subject) Decision {
		return s.resync(CodeStandbyDown, "the node is a standby on the primary's line, and its server is down", topology.MethodStart, topology.MethodBaseBackup)
	}},
	{CodeOldPrimaryOnLine, (*subject).down, func(s *subject) Decision {
		return s.resync(CodeOldPrimaryOnLine, fmt.Sprintf("the node is stopped, no standby, and its WAL ends at %s on the primary's line: nothing has diverged", s.lineage().Point), topology.MethodAdopt, topology.MethodBaseBackup)
	}},
	{CodeWrongUpstream, func(s *subject) bool { return s.standbyUp() && !s.upstreamRight() }, func(s *subject) Decision {
		return s.resync(CodeWrongUpstream, fmt.Sprintf("the node is on the primary's line and follows %s, not node %s", s.upstreamName(), s.w.primary.n.ID), topology.MethodFollow, topology.MethodBaseBackup)
	}},
	{CodeNotStreaming, func(s *subject) bool { return s.sql && s.standbyUp() && s.streamBreaks() }, func(s *subject) Decision {
		return s.resync(CodeNotStreaming, fmt.Sprintf("the node's stream from the primary has broken off %d times, and its replay stays at %s: what the primary sends does not go on from there", s.m.StreamBreaks, s.m.StreamLSN), topology.MethodBaseBackup)
	}},
	{CodeNotStreaming, func(s *subject) bool { return s.sql && s.standbyUp() && s.streamPatienceOver() }, func(s *subject) Decision {
		return s.resync(CodeNotStreaming, fmt.Sprintf("the node is set to follow the primary and has not streamed for %s", s.w.now.Sub(s.m.NotStreamingSince).Round(roundTo)), topology.MethodFollow, topology.MethodBaseBackup)
	}},
	{CodeNotStreaming, func(s *subject) bool { return s.sql && s.standbyUp() }, func(s *subject) Decision {
		return s.decide(Wait, CodeNotStreaming, "the node is set to follow the primary, and its stream has not begun yet")
	}},
	{CodeStarting, func(s *subject) bool { return s.n.Agent.Server == topology.ServerStarting }, func(s *subject) Decision {
		return s.decide(Wait, CodeStarting, "the node's server is starting and takes no connections yet")
	}},
}

func (s *subject) garbled() Decision {
	if s.sql || running(s.n.Agent.Server) && !s.aside() {
		return s.refuse(CodeGarbledControl, "the node's control file cannot be read, but its server runs: it is left alone")
	}
	return s.resync(CodeGarbledControl, "the node's control file cannot be read: its directory cannot be used as it is", topology.MethodBaseBackup)
}

// noLineage is never a reason to overwrite anything: unknown is not diverged.
func (s *subject) noLineage() Decision {
	l := s.n.Lineage
	switch {
	case l.At.IsZero():
		d := s.decide(Wait, CodeLineageUnknown, "the node's WAL has not been compared with the primary's yet")
		d.Severity, d.Hint = Work, ""
		return d
	case l.Err != "":
		return s.decide(Wait, CodeLineageUnknown, "the node's WAL could not be compared with the primary's: "+l.Err)
	case l.Primary != s.w.primary.n.ID || !l.Fresh(s.w.now, s.w.pol.MaxFactAge):
		return s.decide(Wait, CodeLineageUnknown, "the node's WAL was compared with another node's, or too long ago")
	}
	return s.decide(None, CodeLineageUnknown, "it cannot be told whether the node's WAL is the primary's: "+word(l.Proof))
}

// startable says that the directory, once started, comes up as a standby.
func (s *subject) startable() bool {
	return s.down() && s.n.Agent.Dir == topology.DirPresent && s.n.Agent.StandbySignal
}

func (s *subject) upstreamName() string {
	a := &s.n.Agent
	switch p := &s.w.primary.n; {
	case a.UpstreamHost == "" && a.UpstreamPort == 0:
		return "nobody"
	case a.UpstreamHost == p.Host && a.UpstreamPort == p.Port:
		return fmt.Sprintf("it without slot %s", s.slot())
	}
	return fmt.Sprintf("%s:%d", s.n.Agent.UpstreamHost, s.n.Agent.UpstreamPort)
}

func (s *subject) streamPatienceOver() bool {
	since := s.m.NotStreamingSince
	return !since.IsZero() && s.w.now.Sub(since) > s.w.pol.StreamPatience
}
