package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// nodeRules is the table for every node but the primary. In order: may we act at
// all, must the node be left alone, is it attached and must not be, is it healthy, is
// enough known about it, and last what brings it back.
var nodeRules = slices.Concat(poolRules, attachedRules, stateRules, methodRules)

// poolRules: whether anything may be done in this pool, or to this node, now.
var poolRules = []rule{
	{codes.NotLeader, func(s *subject) bool { return s.w.local != nil && !s.w.local.Watchdog.MayAct() },
		(*subject).notLeader},
	{codes.PoolUnreachable, func(s *subject) bool { return s.w.local == nil }, (*subject).poolUnreachable},
	{codes.OnHold, func(s *subject) bool { return s.hold() != nil }, (*subject).onHold},
	{codes.Quarantined, func(s *subject) bool { return s.quarantined }, func(s *subject) Decision {
		return s.decide(None, codes.Quarantined,
			"Pgpool-II has quarantined the node, and restores it by itself when it has quorum again")
	}},
	{codes.PrimaryStale, func(s *subject) bool {
		return s.w.trouble.code == codes.PrimaryStale && s.attached && s.sql && !s.n.SQL.InRecovery
	}, func(s *subject) Decision { return s.detach(codes.PrimaryStale, s.w.trouble.reason) }},
}

func (s *subject) poolUnreachable() Decision {
	d := s.decide(Wait, codes.PoolUnreachable,
		"the local Pgpool-II does not answer over PCP, which does not prove that it is down")
	if s.w.silent {
		// A wrong port or password would be refused.
		d.Reason = "the local Pgpool-II gives no answer over PCP in time, which does not prove that it is down"
		d.Hint = "wait if a failover or pcp_recovery_node is under way; after a failover Pgpool-II up to 4.4 answers " +
			"nobody until every PCP client has left: end pcp programs that hang; otherwise look at Pgpool-II's log"
	}
	return d
}

func (s *subject) notLeader() Decision {
	wd := s.w.local.Watchdog
	return s.decide(None, codes.NotLeader,
		fmt.Sprintf("the local Pgpool-II is %s in its watchdog cluster, with quorum %d: only the controller next to a "+
			"leader with quorum acts", word(wd.State), wd.Quorum))
}

// hold is the hold that covers the node now, or nil.
func (s *subject) hold() *Hold {
	for i, h := range s.w.mem.Holds {
		if h.Covers(s.n.ID, s.w.now) {
			return &s.w.mem.Holds[i]
		}
	}
	return nil
}

func (s *subject) onHold() Decision {
	h := s.hold()
	what := "the node is"
	if h.Node == topology.NoNode {
		what = "the whole pool is"
	}
	until := "until released"
	if !h.Until.IsZero() {
		until = "until " + h.Until.UTC().Format("2006-01-02 15:04:05Z")
	}
	d := s.decide(None, codes.OnHold, fmt.Sprintf("%s on hold %s, by %s: %s", what, until, word(h.Who), word(h.Why)))
	if h.Node == topology.NoNode {
		d.Hint = "repool release all" // of one node it would end nothing
	}
	return d
}

// attachedRules: P1 for nodes that Pgpool-II routes to. What is proven wrong is
// detached at once, what merely has no stream after FollowGrace.
var attachedRules = []rule{
	{codes.ForeignSystem, func(s *subject) bool { return s.mayJudge() && s.attached && s.foreign },
		func(s *subject) Decision {
			return s.detach(codes.ForeignSystem, fmt.Sprintf("node %s has system identifier %s, the pool's is %s", s.n.ID,
				s.systemID(), s.w.primary.n.SQL.SystemID))
		}},
	{codes.Frozen, (*subject).holdsPoolUp, func(s *subject) Decision {
		return s.decide(Fence, codes.Frozen,
			fmt.Sprintf("node %s is frozen (SIGSTOP) and still attached although its detach was requested: Pgpool-II waits "+
				"for its answer and does nothing else, so its server is killed", s.n.ID))
	}},
	{codes.AttachedSecondPrimary, func(s *subject) bool { return s.mayJudge() && s.attached && s.second },
		func(s *subject) Decision {
			return s.detach(codes.AttachedSecondPrimary,
				fmt.Sprintf("node %s is attached and accepts writes, but the primary is node %s", s.n.ID, s.w.primary.n.ID))
		}},
	{codes.AttachedDiverged, func(s *subject) bool {
		return s.mayJudge() && s.attached && (s.ahead() || s.forked() || !s.streams() &&
			(s.verdict() == topology.LineageDiverged || s.verdict() == topology.LineageForeign))
	}, func(s *subject) Decision {
		return s.detach(codes.AttachedDiverged, fmt.Sprintf("node %s is attached and has WAL that the primary does not have",
			s.n.ID))
	}},
	{codes.AttachedDown, func(s *subject) bool { return s.mayJudge() && s.attached && s.noDirectory() && !s.inRun() },
		func(s *subject) Decision {
			return s.detach(codes.AttachedDown, fmt.Sprintf("node %s is attached, but its data directory is %s", s.n.ID,
				s.n.Agent.Dir))
		}},
	{codes.AttachedNotStreaming, func(s *subject) bool {
		return s.mayJudge() && s.attached && !s.streams() && s.graceOver()
	}, func(s *subject) Decision {
		return s.detach(codes.AttachedNotStreaming, fmt.Sprintf(
			"node %s is attached and has not streamed from node %s for %s",
			s.n.ID, s.w.primary.n.ID, s.w.now.Sub(s.m.NotStreamingSince).Round(roundTo)))
	}},
}

// mayJudge says that the primary is certain enough to call another node wrong:
// Pgpool-II agrees or knows of none, or it was the primary before, or a person asked
// to resync this very node.
func (s *subject) mayJudge() bool {
	w := s.w
	return w.primary != nil && (w.pool != differs || w.established(w.primary, w.history) || s.m.Asked != "")
}

// noDirectory says that the agent sees no data directory of PostgreSQL in place.
func (s *subject) noDirectory() bool {
	return s.agent && (s.n.Agent.Dir == topology.DirMissing || s.n.Agent.Dir == topology.DirEmpty ||
		s.n.Agent.Dir == topology.DirForeign)
}

// graceOver says that an attached node has been without its stream for too
// long. A node of which nothing is known is Pgpool-II's health check's to judge.
func (s *subject) graceOver() bool {
	return (s.sql || s.agent) && !s.m.NotStreamingSince.IsZero() &&
		s.w.now.Sub(s.m.NotStreamingSince) > s.w.pol.FollowGrace
}

// holdsPoolUp says that Pgpool-II is stuck on a frozen standby. Its main process
// logs in to every attached node when it searches for the primary (after each
// attach and failover), without any timeout (4.3.5, seen live): until the node
// answers, no failover, attach or detach is carried out. A killed standby
// loses nothing and is started again; the kernel then ends the login.
func (s *subject) holdsPoolUp() bool {
	since := s.m.NotStreamingSince
	return s.mayJudge() && s.attached && !s.sql && s.agent && !s.inRepair() && s.n.Agent.Server == topology.ServerFrozen &&
		!since.IsZero() && s.m.LastDetach.After(since) && s.w.now.Sub(since) > s.w.pol.FollowGrace+frozenPatience &&
		s.w.pol.fenceMode() == Auto && s.fencePauseOver()
}

// fencePauseOver says that the last fence is long enough ago for another one.
func (s *subject) fencePauseOver() bool {
	pause := backoff(s.w.pol.BackoffBase, s.w.pol.BackoffMax, s.n.ID, s.m.Fences)
	return s.w.now.Sub(s.m.LastFence) >= pause
}

// detach asks for the detach, repeated after a pause until it shows.
func (s *subject) detach(code codes.Code, reason string) Decision {
	if s.n.NoFailover {
		return s.refuse(code, reason+"; Pgpool-II refuses to detach it because its backend_flag is DISALLOW_TO_FAILOVER")
	}
	if s.requestsIgnored() {
		return s.unresponsiveTo("detach", reason)
	}
	if s.w.now.Sub(s.m.LastDetach) < askAgain {
		return s.decide(Wait, code, reason+"; its detach has been requested")
	}
	return s.decide(Detach, code, reason)
}

// refuse is a decision that needs a person or a change of the world, whatever
// the code usually is.
func (s *subject) refuse(code codes.Code, reason string, evidence ...string) Decision {
	d := s.decide(None, code, reason, evidence...)
	info, _ := codes.Explain(code)
	d.Severity, d.Hint = codes.Refused, info.Hint(s.n.ID.String())
	return d
}

// stateRules: what the node is, where nothing is to be done or nothing can be.
var stateRules = []rule{
	{codes.Resyncing, (*subject).inRun, (*subject).resyncing},
	{codes.NoPrimary, func(s *subject) bool { return s.w.primary == nil }, func(s *subject) Decision {
		t := s.w.trouble
		return s.decide(Wait, t.code, t.reason, t.evidence...)
	}},
	{codes.NotInPool, func(s *subject) bool { return !s.known }, func(s *subject) Decision {
		return s.decide(None, codes.NotInPool,
			"pgpool.conf lists the node, but the running Pgpool-II does not know it or shows it as unused")
	}},
	{codes.ForeignSystem, func(s *subject) bool { return s.foreign }, func(s *subject) Decision {
		return s.decide(None, codes.ForeignSystem,
			fmt.Sprintf("node %s has system identifier %s, the pool's is %s: its data belongs to another cluster", s.n.ID,
				s.systemID(), s.w.primary.n.SQL.SystemID))
	}},
	{codes.SecondPrimary, func(s *subject) bool { return s.second }, (*subject).fence},
	{codes.IdleSlots, (*subject).mayDropSlots, (*subject).dropSlots},
	{codes.Healthy, (*subject).healthy, func(s *subject) Decision {
		return s.well(codes.Healthy, s.wellAndBehind()+s.slotsLeft())
	}},
	{codes.Parked, func(s *subject) bool { return s.m.Parked != "" }, (*subject).parked},
	{codes.AgentUnreachable, func(s *subject) bool { return !s.agent }, (*subject).noAgent},
	{codes.ServerStopping, func(s *subject) bool { return s.n.Agent.Server == topology.ServerStopping && !s.inRepair() },
		func(s *subject) Decision {
			return s.decide(Wait, codes.ServerStopping, "the node's server is shutting down")
		}},
	{codes.Frozen, func(s *subject) bool { return s.n.Agent.Server == topology.ServerFrozen && !s.sql && !s.inRepair() },
		func(s *subject) Decision {
			return s.decide(Wait, codes.Frozen, "the node's server is frozen (SIGSTOP): it is left alone because it may resume")
		}},
	{codes.FactsStale, (*subject).contradictory, func(s *subject) Decision {
		return s.decide(Wait, codes.FactsStale,
			fmt.Sprintf("what is known about node %s is incomplete or contradictory: data directory %s, server %s", s.n.ID,
				word(string(s.n.Agent.Dir)), word(string(s.n.Agent.Server))))
	}},
	{codes.ServerElsewhere, func(s *subject) bool { return s.elsewhere() != "" }, func(s *subject) Decision {
		return s.decide(Wait, codes.ServerElsewhere, "the node's server is running and does not answer: "+s.elsewhere())
	}},
	{codes.ServerSilent, func(s *subject) bool {
		return s.n.Agent.Server == topology.ServerRunning && !s.sql &&
			!s.inRepair()
	},
		func(s *subject) Decision {
			return s.decide(Wait, codes.ServerSilent, "the node's server is running but does not answer SQL")
		}},
	{codes.Diverged, func(s *subject) bool { return s.ahead() && s.n.Agent.Dir == topology.DirPresent },
		func(s *subject) Decision {
			return s.resync(codes.Diverged,
				fmt.Sprintf("node %s streams but has replayed to %s, which the primary has never written: it has WAL of its own "+
					"on timeline %s", s.n.ID, s.m.AheadLSN, s.m.AheadTLI), topology.MethodBaseBackup)
		}},
	{codes.Diverged, func(s *subject) bool { return s.forked() && s.streams() && s.n.Agent.Dir == topology.DirPresent },
		func(s *subject) Decision {
			return s.resync(codes.Diverged, fmt.Sprintf(
				"node %s streams, but its data is of a line of its own on timeline %s: %s",
				s.n.ID, s.m.Fork.TLI, s.m.Fork.Proof), topology.MethodBaseBackup)
		}},
	{codes.Ready, (*subject).streams, (*subject).verify},
}

// healthy says that the node is attached everywhere and streams from the primary.
func (s *subject) healthy() bool { return s.attached && !s.detached && s.streams() }

func (s *subject) wellAndBehind() string {
	return fmt.Sprintf("attached, streams from node %s, %s behind", s.w.primary.n.ID, size(s.lag()))
}

// elsewhere says how a silent server's own address differs from the pool's; empty:
// it does not, as far as is known.
func (s *subject) elsewhere() string {
	a, n := &s.n.Agent, &s.n
	if !s.agent || a.Server != topology.ServerRunning || s.sql || s.inRepair() || a.Port == 0 {
		return ""
	}
	switch {
	case a.Port != n.Port:
		return fmt.Sprintf("it listens on port %d, and pgpool.conf expects port %d", a.Port, n.Port)
	case !strings.HasPrefix(n.Host, "/") && n.Host != "" && a.ListenAddr == "":
		return fmt.Sprintf("it accepts no connections over TCP, and pgpool.conf expects it at %s", n.Host)
	case strings.HasPrefix(n.Host, "/") && socketDir(a.SocketDir) != socketDir(n.Host):
		return fmt.Sprintf("its first socket directory is %s, and pgpool.conf expects %s", word(a.SocketDir), n.Host)
	}
	return ""
}

// socketDir is one name for a directory that has two: /var/run is a link to /run.
func socketDir(dir string) string { return strings.TrimRight(strings.TrimPrefix(dir, "/var"), "/") }

func (s *subject) resyncing() Decision {
	r := s.n.Agent.Run
	text := fmt.Sprintf("%s from node %s is at step %s", r.Method, r.Upstream, word(r.Step()))
	if r.BytesTotal > 0 {
		text += fmt.Sprintf(", %s of %s", size(r.BytesDone), size(r.BytesTotal))
	} else if r.BytesDone > 0 {
		text += ", " + size(r.BytesDone)
	}
	d := s.decide(Wait, codes.Resyncing, text)
	d.Method = r.Method
	if w := s.w; w.primary != nil && w.pool == agrees && w.primary.n.ID != r.Upstream && s != w.primary {
		d.Action = Cancel
		d.Reason = fmt.Sprintf("%s; node %s is the primary now, so this run is ended at its next safe point", text,
			w.primary.n.ID)
	}
	return d
}

// fence stops a second primary. It destroys nothing, but ends the node's sessions.
func (s *subject) fence() Decision {
	p := s.w.primary
	reason := fmt.Sprintf("node %s accepts writes, or is about to, but the primary is node %s on timeline %s", s.n.ID,
		p.n.ID, p.n.SQL.Timeline)
	switch {
	case !s.mayJudge():
		return s.decide(Wait, codes.PoolBlind, reason+", but Pgpool-II does not agree on the primary")
	case s.attached:
		return s.decide(Wait, codes.SecondPrimary, reason+"; it is being detached")
	case !s.agent:
		return s.refuse(codes.SecondPrimary, reason+", and its agent does not answer: it cannot be stopped from here")
	case s.w.pol.fenceMode() == Never:
		return s.refuse(codes.NotAllowed, reason+", and policy forbids stopping it")
	case s.w.pol.fenceMode() == Ask && s.m.Asked == "":
		return s.decide(None, codes.NeedsConsent, reason+", and policy requires a person's consent to stop it")
	case !s.fencePauseOver():
		return s.decide(Wait, codes.SecondPrimary, reason+"; it is being stopped")
	}
	return s.decide(Fence, codes.SecondPrimary, reason)
}

// parked repeats the code under which the node was given up.
func (s *subject) parked() Decision {
	reason := fmt.Sprintf("parked since %s: %s", s.m.ParkedAt.UTC().Format("2006-01-02 15:04:05Z"), word(s.m.ParkedWhy))
	d := s.refuse(s.m.Parked, reason, fmt.Sprintf("%d failed attempts, the last by %s", s.m.Attempts,
		word(string(s.m.LastMethod))))
	info, _ := codes.Explain(codes.Parked)
	d.Hint = info.Hint(s.n.ID.String())
	return d
}

// well is the decision that nothing has to be done. It warns where the node's next
// failure could not be ended: nobody can be asked on its host.
func (s *subject) well(code codes.Code, reason string, evidence ...string) Decision {
	d := s.decide(None, code, reason, evidence...)
	if s.agent {
		d.Reason += s.oldKept()
		return d
	}
	info, known := codes.Explain(s.n.Agent.ErrCode)
	if !known {
		info, _ = codes.Explain(codes.AgentUnreachable)
	}
	d.Warning, d.Hint = info.Code, info.Hint(s.n.ID.String())
	d.Reason += fmt.Sprintf("; warning, %s: %s, and if the node failed now it could not be repaired", info.Code,
		info.Means)
	return d
}

// oldKept tells of a replaced directory that is not removed, and of what it may lead to.
func (s *subject) oldKept() string {
	if k := s.n.Agent.Kept; k.OldUnsaved {
		return fmt.Sprintf("; warning: a replaced data directory of %s is kept, since not all that only it held is "+
			"in the vault: repool check", size(k.Old))
	}
	return ""
}

func (s *subject) noAgent() Decision {
	if info, known := codes.Explain(s.n.Agent.ErrCode); known {
		return s.decide(Wait, info.Code, info.Means+": nothing can be checked or done there")
	}
	if s.streams() {
		return s.decide(None, codes.LineageUnknown,
			"the node streams, but its agent does not answer, and without the agent its WAL cannot be proven to match the "+
				"primary's")
	}
	return s.decide(Wait, codes.AgentUnreachable, "the node's agent does not answer: nothing can be checked or done there")
}

// contradictory says that the sources disagree, or that one has said nothing.
func (s *subject) contradictory() bool {
	a := &s.n.Agent
	switch {
	case a.Dir == topology.DirUnknown:
		return true
	case a.Dir == topology.DirPresent && a.Server == topology.ServerUnknown:
		return true
	case a.Control != nil && a.Control.SystemID == 0:
		return true // whose data these are is unknown, and no control file says 0
	case s.sql && s.inRepair():
		return true // a server answers on the node's port while the directory is under repair
	}
	return s.sql && a.Dir == topology.DirPresent && a.Server == topology.ServerStopped
}
