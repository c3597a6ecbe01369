package plan

import (
	"fmt"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// resync chooses the first of the methods that is possible, allowed and not more
// expensive than the next, and says why not the ones before it.
func (s *subject) resync(code codes.Code, reason string, methods ...topology.Method) Decision {
	if d, stop := s.prerequisites(reason, methods); stop {
		return d
	}
	rejected := s.cheaperThan(methods[0])
	var last obstacle
	for i, m := range methods {
		if m == topology.MethodBaseBackup && methods[0] != m {
			rejected = append(rejected, Rejection{topology.MethodDeltaCopy, "not part of this release"})
		}
		use := s.custom(m)
		last = s.obstacle(use, methods[i+1:])
		if last.why == "" {
			if d, stop := s.mayUse(use, rejected); stop && d.Code != codes.NotAllowed {
				d.Reason = reason + "; " + d.Reason
				return d
			} else if stop {
				last = obstacle{codes.NotAllowed, "policy: never"}
			} else {
				return s.start(code, reason, use, rejected)
			}
		}
		rejected = append(rejected, Rejection{use, last.why})
	}
	d := s.refuse(last.code, fmt.Sprintf("%s, but %s", reason, last.why))
	d.Rejected = rejected
	return d
}

// start is the decision to run m, once the node may be worked on.
func (s *subject) start(code codes.Code, reason string, m topology.Method, rejected []Rejection) Decision {
	p := s.w.primary
	switch {
	case m.Destructive() && s.attached:
		return s.detach(codes.AttachedDown, reason+"; it must be detached before it is overwritten")
	case m.Destructive() && s.w.pool != agrees:
		return s.decide(Wait, codes.PoolBlind,
			fmt.Sprintf("%s; nothing is overwritten until Pgpool-II agrees that node %s is the primary", reason, p.n.ID))
	case m == topology.MethodCustom && (s.overwritten() || s.unproven(code)) && s.m.Asked == "":
		return s.decide(None, codes.NeedsConsent, reason+
			"; what only this node has cannot be saved from its WAL, and resync_command would overwrite it in place")
	case s.w.now.Before(s.retryAt()):
		d := s.decide(Wait, codes.BackingOff,
			fmt.Sprintf("%s; %d failed attempts, the last with %s: the next, %s, is due in %s", reason, s.m.Attempts,
				word(string(s.m.LastCode)), m, s.retryAt().Sub(s.w.now).Round(roundTo)))
		d.Rejected = rejected
		return d
	case s.w.now.Sub(s.m.LastResync) < runAgain:
		return s.decide(Wait, codes.Resyncing, fmt.Sprintf("%s; %s has been requested and is not in the node's journal yet",
			reason, m))
	}
	d := s.decide(Resync, code, reason)
	d.Method, d.Rejected, d.Estimate = m, rejected, s.estimate(m)
	l := s.lineage()
	if m == topology.MethodBaseBackup && s.unproven(code) {
		d.Reason += "; its WAL is not proven to be the primary's, so the directory that is replaced is kept"
	}
	d.Request = &topology.RunRequest{Node: s.n.ID, Method: m, Slot: s.slot(), AppName: s.appName(), Code: code,
		Reason: reason,
		Upstream: topology.Upstream{Node: p.n.ID, Host: p.n.Host, Port: p.n.Port, SystemID: p.n.SQL.SystemID,
			History: s.w.history},
		ProvenTo: s.provenTo(), Streaming: s.streams() && l.Verdict == topology.LineageOnLine,
		KeepOld: m == topology.MethodBaseBackup && s.doubtful(code)}
	switch {
	case l.Verdict == topology.LineageDiverged:
		d.Request.Divergence, d.Request.DivergenceTLI = max(l.Point, 1), l.TLI
	case code == codes.Diverged:
		// By its position alone: only up to the beginning of the primary's timeline
		// are the two surely one, and all after it must be kept (P3). Without a
		// divergence point the agent would go by the numbers, and keep nothing.
		tli := s.w.history.TLI
		d.Request.Divergence, d.Request.DivergenceTLI = max(s.w.history.Begin(tli), 1), tli
		d.Request.ProvenTo, d.Request.Streaming = d.Request.Divergence, false
	}
	return d
}

// doubtful says that the node's WAL may be another line's than its data, so that
// nothing can be saved from it: that was proven, or a directory whose WAL is the
// primary's has failed to stream again and again for an unknown reason.
func (s *subject) doubtful(code codes.Code) bool {
	switch code {
	case codes.NotStreaming, codes.WrongUpstream, codes.StandbyDown, codes.OldPrimaryOnLine:
		return s.m.Attempts >= cheapTries || s.streamBreaks() || s.overwritten()
	}
	return s.overwritten()
}

// custom replaces the methods that overwrite data with the operator's own command,
// where there is one.
func (s *subject) custom(m topology.Method) topology.Method {
	if s.w.pol.Custom && m.Destructive() {
		return topology.MethodCustom
	}
	return m
}

// mayUse asks policy about m. stop is true with a decision that says that m needs
// consent or is not allowed.
func (s *subject) mayUse(m topology.Method, rejected []Rejection) (Decision, bool) {
	switch s.w.pol.modeOf(m) {
	case Never:
		return s.decide(None, codes.NotAllowed, fmt.Sprintf("policy forbids %s", m)), true
	case Ask:
		if s.m.Asked == string(m) || s.m.Asked == askedAny {
			return Decision{}, false
		}
		d := s.decide(None, codes.NeedsConsent, fmt.Sprintf("policy requires a person's consent before %s", m))
		d.Method, d.Rejected, d.Estimate = m, rejected, s.estimate(m)
		return d, true
	}
	return Decision{}, false
}

// askedAny in NodeMemory.Asked is consent to whatever method the planner chooses.
const askedAny = "any"

// obstacle is why a method is not possible; none when why is empty.
type obstacle struct {
	code codes.Code
	why  string
}

// obstacle looks for what makes m impossible; next are the more expensive methods
// that could be used instead.
func (s *subject) obstacle(m topology.Method, next []topology.Method) obstacle {
	if s.m.Asked != "" && s.m.Asked != askedAny && s.m.Asked != string(m) {
		for _, n := range next {
			if s.m.Asked == string(n) {
				return obstacle{codes.NeedsConsent, "a person asked for " + s.m.Asked}
			}
		}
	}
	if o := s.copyInVain(m); o.why != "" {
		return o
	}
	switch m {
	case topology.MethodStart, topology.MethodFollow, topology.MethodAdopt:
		return s.cheapObstacle(m, len(next) > 0)
	case topology.MethodRewind:
		return s.rewindObstacle(len(next) > 0)
	case topology.MethodBaseBackup:
		return s.backupObstacle()
	}
	return obstacle{}
}

// cheapTries is how often a method that copies nothing may fail before a base
// backup is tried instead.
const cheapTries = 2

func (s *subject) cheapObstacle(m topology.Method, dearer bool) obstacle {
	if !dearer || s.m.Attempts < cheapTries || (s.m.LastMethod != m && s.m.LastMethod != topology.MethodBaseBackup) {
		return obstacle{}
	}
	switch s.m.LastCode {
	case codes.StartFailed, codes.NotStreaming, codes.NotOnLine, codes.CopyFailed, codes.VerifyFailed:
		return obstacle{s.m.LastCode, fmt.Sprintf("it has failed before: %d attempts, the last %s", s.m.Attempts,
			s.m.LastCode)}
	}
	return obstacle{}
}

func (s *subject) rewindObstacle(dearer bool) obstacle {
	l, c, p := s.lineage(), s.n.Agent.Control, &s.w.primary.n
	no := func(why string) obstacle { return obstacle{codes.Diverged, why} }
	switch {
	case l.SameTimeline:
		return no("both lines have the same timeline number: pg_rewind cannot see the divergence")
	case c == nil || !c.Checksums && !c.WALLogHints:
		return no("neither data checksums nor wal_log_hints were on")
	case p.SQL.Settings["full_page_writes"] == "off":
		return no("full_page_writes is off on the primary")
	case !l.RewindWAL:
		return no("the node no longer has its WAL back to the last common checkpoint, or its content there is not proven")
	case s.n.Agent.BackupLabel:
		return no("there is a backup_label in the directory")
	case len(s.n.Agent.Odd) > 0:
		return no("an unexpected file in the directory would stop it: " + s.n.Agent.Odd[0])
	case s.n.Agent.InPlace > 0 || p.Agent.InPlace > 0:
		return no("pg_rewind does not support tablespaces inside the data directory (allow_in_place_tablespaces)")
	case s.n.Agent.Tablespaces != p.Agent.Tablespaces:
		return no("the node's tablespaces are not those of the primary")
	case dearer && s.m.Attempts > s.interrupted() && (s.m.LastMethod == topology.MethodRewind ||
		s.m.LastMethod == topology.MethodBaseBackup):
		return no(fmt.Sprintf("it has failed before: %s", word(string(s.m.LastCode))))
	}
	rewind, backup := s.estimate(topology.MethodRewind), s.estimate(topology.MethodBaseBackup)
	if dearer && backup.Bytes > 0 && rewind.Seconds >= backup.Seconds &&
		s.obstacle(s.custom(topology.MethodBaseBackup), nil).why == "" && s.m.Asked != string(topology.MethodRewind) {
		return no(fmt.Sprintf("it would copy %s in about %.1f s, a base backup %s in about %.1f s", size(rewind.Bytes),
			rewind.Seconds, size(backup.Bytes), backup.Seconds))
	}
	return obstacle{}
}

// interrupted is 1 where the last run ended because its agent died: once, that says
// nothing about the method.
func (s *subject) interrupted() int {
	if s.m.LastCode == codes.Interrupted {
		return 1
	}
	return 0
}

func (s *subject) backupObstacle() obstacle {
	need := s.backupBytes()
	switch {
	case need == 0:
		return obstacle{codes.NoSpace, "the size of the databases is not known, so the space for a copy cannot be checked"}
	case s.w.primary.agent && s.w.primary.n.Agent.Tablespaces > 0:
		return obstacle{} // some of it goes elsewhere: the run looks at each file system
	case s.n.Agent.FreeBytes+s.n.Agent.Kept.Trash < need+s.w.pol.SpaceHeadroom: // the copy empties the trash
		return obstacle{codes.NoSpace,
			fmt.Sprintf("a base backup needs %s beside the old directory and %s of headroom, and %s is free", size(need),
				size(s.w.pol.SpaceHeadroom), size(s.n.Agent.FreeBytes))}
	}
	return obstacle{}
}
