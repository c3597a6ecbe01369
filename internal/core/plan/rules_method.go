package plan

import (
	"fmt"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// methodRules: the node is not what it should be, and enough is known about it. Each
// entry names the situation and the methods that end it, cheapest first.
var methodRules = []rule{
	{codes.ForeignDirectory, func(s *subject) bool { return s.n.Agent.Dir == topology.DirForeign },
		func(s *subject) Decision {
			return s.decide(None, codes.ForeignDirectory,
				"the node's data directory is not empty and contains no PostgreSQL data: it is left untouched")
		}},
	{codes.SlotHeld, func(s *subject) bool { return s.heldSlot() != nil }, (*subject).slotHeld},
	{codes.HalfDone, (*subject).damaged, func(s *subject) Decision {
		return s.resync(codes.HalfDone, "an earlier "+string(s.n.Agent.Run.Method)+
			" was interrupted half-way: the directory must never be started", topology.MethodBaseBackup)
	}},
	{codes.NoData, (*subject).noDirectory, func(s *subject) Decision {
		return s.resync(codes.NoData, "the node's data directory is "+string(s.n.Agent.Dir), topology.MethodBaseBackup)
	}},
	{codes.GarbledControl, func(s *subject) bool { return s.n.Agent.Control == nil }, (*subject).garbled},
	{codes.ServerConfig, (*subject).ownReasonStands, (*subject).serverConfig},
	{codes.Diverged, func(s *subject) bool { return s.verdict() == topology.LineageDiverged }, func(s *subject) Decision {
		l := s.lineage()
		return s.resync(codes.Diverged, fmt.Sprintf("node %s has WAL of its own past %s on timeline %s", s.n.ID, l.Point,
			l.TLI), topology.MethodRewind, topology.MethodBaseBackup)
	}},
	{codes.UnrelatedHistory, func(s *subject) bool { return s.verdict() == topology.LineageForeign },
		func(s *subject) Decision {
			if s.m.Asked == "" {
				return s.decide(None, codes.UnrelatedHistory, "the node's history shares no timeline with the primary's")
			}
			return s.resync(codes.UnrelatedHistory,
				"the node's history shares no timeline with the primary's, and a person has asked for a resync",
				topology.MethodBaseBackup)
		}},
	{codes.WALGone, func(s *subject) bool {
		return s.walGone() && !s.replaysFirst() && (s.down() && s.n.Agent.StandbySignal || s.standbyUp())
	},
		func(s *subject) Decision {
			methods := []topology.Method{topology.MethodBaseBackup}
			if s.refusesToStart() && s.startable() {
				// A copy would not start either. Once this directory does, it is copied.
				methods = []topology.Method{topology.MethodStart, topology.MethodBaseBackup}
			}
			return s.resync(codes.WALGone, "the primary no longer has the WAL that the node needs next", methods...)
		}},
	{codes.LineageUnknown, func(s *subject) bool { return s.verdict() != topology.LineageOnLine }, (*subject).noLineage},
	{codes.StandbyDown, func(s *subject) bool { return s.startable() }, func(s *subject) Decision {
		return s.resync(codes.StandbyDown, "the node is a standby on the primary's line, and its server is down",
			topology.MethodStart, topology.MethodBaseBackup)
	}},
	{codes.OldPrimaryOnLine, (*subject).down, func(s *subject) Decision {
		return s.resync(codes.OldPrimaryOnLine,
			fmt.Sprintf("the node is stopped and not set up as a standby; its WAL ends at %s on the primary's line, so it has "+
				"not diverged", s.lineage().Point), topology.MethodAdopt, topology.MethodBaseBackup)
	}},
	{codes.ReplayStalled, (*subject).replaysFirst, (*subject).replaying},
	{codes.NotStreaming, func(s *subject) bool { return s.sql && s.standbyUp() && s.streamBreaks() },
		func(s *subject) Decision {
			return s.resync(codes.NotStreaming,
				fmt.Sprintf("the node's stream from the primary has ended %d times while its replay stayed at %s: what the "+
					"primary sends does not continue from there", s.m.StreamBreaks, s.m.StreamLSN), topology.MethodBaseBackup)
		}},
	{codes.WrongUpstream, (*subject).senderUnknown, func(s *subject) Decision {
		// Its content is right and it receives the primary's WAL: no copy, whatever fails.
		return s.resync(codes.WrongUpstream, fmt.Sprintf("the node is on the primary's line and streams from %s:%d, "+
			"which is not proven to be node %s", s.n.SQL.Receiver.SenderHost, s.n.SQL.Receiver.SenderPort,
			s.w.primary.n.ID),
			topology.MethodFollow)
	}},
	{codes.WrongUpstream, func(s *subject) bool { return s.standbyUp() && !s.upstreamRight() },
		func(s *subject) Decision {
			return s.resync(codes.WrongUpstream, "the node is on the primary's line and follows "+s.wrongUpstream(),
				topology.MethodFollow, topology.MethodBaseBackup)
		}},
	{codes.NotStreaming, func(s *subject) bool { return s.sql && s.standbyUp() && s.streamPatienceOver() },
		func(s *subject) Decision {
			return s.resync(codes.NotStreaming,
				fmt.Sprintf("the node is configured to follow the primary but has not streamed for %s",
					s.w.now.Sub(s.m.NotStreamingSince).Round(roundTo)), topology.MethodFollow, topology.MethodBaseBackup)
		}},
	{codes.NotStreaming, func(s *subject) bool { return s.sql && s.standbyUp() }, func(s *subject) Decision {
		return s.decide(Wait, codes.NotStreaming,
			"the node is configured to follow the primary, and its stream has not started yet")
	}},
	{codes.Starting, func(s *subject) bool { return s.n.Agent.Server == topology.ServerStarting },
		func(s *subject) Decision {
			return s.decide(Wait, codes.Starting, "the node's server is starting and does not accept connections yet")
		}},
}

func (s *subject) garbled() Decision {
	if s.sql || running(s.n.Agent.Server) && !s.inRepair() {
		return s.refuse(codes.GarbledControl,
			"the node's control file cannot be read, but its server is running: it is left alone")
	}
	return s.resync(codes.GarbledControl, "the node's control file cannot be read: its directory cannot be used as it is",
		topology.MethodBaseBackup)
}

// noLineage: unknown is not diverged, and never a reason to overwrite anything.
func (s *subject) noLineage() Decision {
	l := s.n.Lineage
	switch {
	case l.At.IsZero():
		d := s.decide(Wait, codes.LineageUnknown, "the node's WAL has not been compared with the primary's yet")
		d.Severity, d.Hint = codes.Work, ""
		return d
	case l.Err != "":
		return s.decide(Wait, codes.LineageUnknown, "the node's WAL could not be compared with the primary's: "+l.Err)
	case l.Primary != s.w.primary.n.ID || !l.Fresh(s.w.now, s.w.pol.MaxFactAge):
		return s.decide(Wait, codes.LineageUnknown, "the node's WAL was compared with another node's, or too long ago")
	}
	return s.decide(None, codes.LineageUnknown, "whether the node's WAL matches the primary's cannot be determined: "+
		word(l.Proof))
}

// startable says that the directory, once started, comes up as a standby.
func (s *subject) startable() bool {
	return s.down() && s.n.Agent.Dir == topology.DirPresent && s.n.Agent.StandbySignal
}

func (s *subject) wrongUpstream() string {
	a := &s.n.Agent
	switch p := &s.w.primary.n; {
	case a.UpstreamHost == "" && a.UpstreamPort == 0:
		return fmt.Sprintf("no node instead of node %s", p.ID)
	case a.UpstreamHost == p.Host && a.UpstreamPort == p.Port:
		return fmt.Sprintf("node %s without using its slot there, %s", p.ID, s.slot())
	default:
		return fmt.Sprintf("%s:%d instead of node %s", a.UpstreamHost, a.UpstreamPort, p.ID)
	}
}

func (s *subject) streamPatienceOver() bool {
	since := s.m.NotStreamingSince
	return !since.IsZero() && s.w.now.Sub(since) > s.w.pol.StreamPatience
}
