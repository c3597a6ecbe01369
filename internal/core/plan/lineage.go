package plan

import (
	"fmt"
	"strings"

	"github.com/repool/repool/internal/core/topology"
)

// running says whether a server process exists, answering or not.
func running(s topology.ServerState) bool {
	switch s {
	case topology.ServerStarting, topology.ServerRunning, topology.ServerStopping, topology.ServerFrozen:
		return true
	}
	return false
}

// systemID is the node's own, from SQL or its control file; zero when unknown.
func (s *subject) systemID() topology.SystemID {
	if s.sql && s.n.SQL.SystemID != 0 {
		return s.n.SQL.SystemID
	}
	if s.agent && s.n.Agent.Control != nil {
		return s.n.Agent.Control.SystemID
	}
	return 0
}

// maybePrimary says that the node accepts writes, or that its server runs and
// will, since nothing in its directory makes it a standby.
func (s *subject) maybePrimary() bool {
	if s.sql {
		return !s.n.SQL.InRecovery
	}
	a := &s.n.Agent
	return s.agent && a.Dir == topology.DirPresent && a.Server != topology.ServerStopping &&
		running(a.Server) && !a.StandbySignal && !a.RecoverySignal
}

// lineage is the verdict on the node against the primary of this pass, and
// Unknown where it is old, failed, or against another node. What was once proven
// of the directory's content holds until the directory is another one.
func (s *subject) lineage() topology.Lineage {
	if s.forked() {
		return s.forkedLineage(s.measured())
	}
	return s.measured()
}

// measured is the verdict by what the node's WAL says now.
func (s *subject) measured() topology.Lineage {
	l := s.n.Lineage
	if s.w.primary == nil || l.Primary != s.w.primary.n.ID || !l.Fresh(s.w.now, s.w.pol.MaxFactAge) {
		return topology.Lineage{}
	}
	return l
}

func (s *subject) verdict() topology.Verdict { return s.lineage().Verdict }

// inRun says that a run is in progress on the node.
func (s *subject) inRun() bool {
	return s.agent && s.n.Agent.Run != nil && !s.n.Agent.Run.Outcome.Ended()
}

// damaged says that the directory is half rewound or half copied.
func (s *subject) damaged() bool {
	return s.agent && s.n.Agent.Run != nil && s.n.Agent.Run.Outcome.Ended() && s.n.Agent.Run.Damaged
}

// hasData says that there is a data directory to work on, in place or under repair.
func (s *subject) hasData() bool {
	return s.n.Agent.Dir == topology.DirPresent || s.n.Agent.Dir == topology.DirInRepair
}

// inRepair says that the data directory is under repair. A server on it can only be
// the private one of an agent that died: the next run's first step stops it.
func (s *subject) inRepair() bool { return s.agent && s.n.Agent.Dir == topology.DirInRepair }

// down says that the node's server is certainly down: both its agent and SQL say so.
func (s *subject) down() bool {
	return s.agent && !s.sql && (s.inRepair() || s.n.Agent.Dir == topology.DirPresent &&
		s.n.Agent.Server == topology.ServerStopped)
}

// standbyUp says that the node runs as a standby: its server says that it is in
// recovery, or it is starting as one.
func (s *subject) standbyUp() bool {
	if s.sql {
		return s.n.SQL.InRecovery
	}
	return s.agent && !s.inRepair() && s.n.Agent.Server == topology.ServerStarting && s.n.Agent.StandbySignal
}

// slot is the name of the node's replication slot on every primary.
func (s *subject) slot() string { return topology.SlotName(s.n.ID) }

// appName is how the node's WAL receiver names itself on the primary.
func (s *subject) appName() string {
	if s.n.AppName != "" {
		return s.n.AppName
	}
	return s.slot()
}

// streamsFrom says that the node is a standby that streams from p on p's timeline,
// however its settings spell p, see topology.Sender.
func (s *subject) streamsFrom(p *subject) bool { return s.streamsOn(p) && s.sender == p.n.ID }

// streamsOn says that the node is a standby of p's cluster that streams on p's timeline,
// from whomever.
func (s *subject) streamsOn(p *subject) bool {
	f, r := &s.n.SQL, &s.n.SQL.Receiver
	return s.sql && p.sql && f.InRecovery && f.SystemID == p.n.SQL.SystemID && f.SystemID != 0 &&
		r.Status == "streaming" && r.Timeline == p.n.SQL.Timeline
}

// senderUnknown says that the node streams on the primary's timeline, and that nothing
// proves from whom: its settings spell the primary in their own way, or it streams from a
// server outside the pool. It is not attached then. It is not detached for it either, as
// long as it receives what the primary writes, see noteStreams.
func (s *subject) senderUnknown() bool {
	return s.w.primary != nil && s != s.w.primary && s.sender == topology.NoNode && s.streamsOn(s.w.primary)
}

// streams says that the node streams from the primary of this pass.
func (s *subject) streams() bool { return s.w.primary != nil && s.streamsFrom(s.w.primary) }

// ahead says that the node has replayed WAL that the primary has not written
// even a good while later, by an answer that was asked for after the node's.
// Such a node has WAL of its own under the primary's timeline number: it was
// a second primary for a while. It streams all the same, into its own old WAL,
// and goes on to until the primary reaches the place (hazards 5 and 7).
func (s *subject) ahead() bool {
	return s.m.AheadLSN != 0 && s.w.primary.n.SQL.At.Sub(s.m.AheadAt) >= aheadFor
}

// upstreamRight says that the node's directory names the primary and our slot
// as its upstream.
func (s *subject) upstreamRight() bool {
	p := &s.w.primary.n
	a := &s.n.Agent
	return a.UpstreamHost == p.Host && a.UpstreamPort == p.Port && a.UpstreamSlot == s.slot()
}

// walGone says that the primary no longer has the WAL that the node needs next.
func (s *subject) walGone() bool { return s.lineage().StreamGap }

// common is the evidence of every decision: what each source said.
func (s *subject) common() []string {
	return append(s.poolEvidence(), append(s.sqlEvidence(), s.agentEvidence()...)...)
}

func (s *subject) poolEvidence() []string {
	var out []string
	for i := range s.w.pools {
		p := &s.w.pools[i]
		if v := p.Node(s.n.ID); v != nil {
			out = append(out, fmt.Sprintf("Pgpool-II %s: node %s is %s, its primary is node %s", p.Endpoint, s.n.ID, v.Status,
				p.Primary))
		}
	}
	return out
}

func (s *subject) sqlEvidence() []string {
	f := &s.n.SQL
	switch {
	case !s.sql && f.Err != "":
		return []string{"PostgreSQL: " + f.Err}
	case !s.sql:
		return []string{"PostgreSQL: no fresh answer"}
	case !f.InRecovery:
		return []string{fmt.Sprintf("PostgreSQL: accepts writes, timeline %s, at %s", f.Timeline, f.Current)}
	}
	line := fmt.Sprintf("PostgreSQL: in recovery, timeline %s, replayed to %s", f.Timeline, f.Replay)
	if r := f.Receiver; r.Status != "" {
		line += fmt.Sprintf(", %s from %s:%d on timeline %s", r.Status, r.SenderHost, r.SenderPort, r.Timeline)
	} else {
		line += ", no WAL receiver"
	}
	return []string{line}
}

// maxOdd is how many unexpected files are named as evidence.
const maxOdd = 5

func (s *subject) agentEvidence() []string {
	a := &s.n.Agent
	if !s.agent {
		if a.Err != "" {
			return []string{"agent: " + a.Err}
		}
		return []string{"agent: no fresh answer"}
	}
	parts := []string{fmt.Sprintf("agent: data directory %s", word(string(a.Dir))), "server " + word(string(a.Server))}
	if c := a.Control; c != nil {
		parts = append(parts, fmt.Sprintf("control file %q, timeline %s, checkpoint %s", c.State, c.Timeline,
			c.CheckpointLSN))
	}
	if a.StandbySignal {
		parts = append(parts, "standby.signal present")
	}
	out := []string{strings.Join(parts, ", ")}
	for i, odd := range a.Odd {
		if i == maxOdd {
			out = append(out, fmt.Sprintf("and %d more unexpected files", len(a.Odd)-i))
			break
		}
		out = append(out, "unexpected file: "+odd)
	}
	if s.w.primary == nil || s.w.primary == s {
		return out
	}
	if l := s.lineage(); l.Proof != "" {
		out = append(out, "lineage: "+word(string(l.Verdict))+": "+l.Proof)
		if l.SameTimeline {
			out = append(out, fmt.Sprintf("timeline number %s was used twice: a WAL archive that overwrites can have "+
				"either line's WAL under these names (repool check)", l.TLI))
		}
	} else if s.n.Lineage.Err != "" {
		out = append(out, "lineage: "+s.n.Lineage.Err)
	}
	for _, slot := range s.w.primary.n.SQL.Slots {
		if slot.Name == s.slot() && slot.WALStatus == "lost" {
			out = append(out, "slot "+slot.Name+" on the primary has lost its WAL")
		}
	}
	return out
}

func word(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
