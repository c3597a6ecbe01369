package plan

import (
	"fmt"
	"strconv"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// hotStandbySettings must not be lower on a standby than on its primary, or it
// refuses to start (hazard 32).
var hotStandbySettings = []string{"max_connections", "max_worker_processes", "max_wal_senders",
	"max_prepared_transactions", "max_locks_per_transaction"}

// prerequisites is what every method needs. stop is true with the decision
// that says what is missing.
func (s *subject) prerequisites(reason string, methods []topology.Method) (Decision, bool) {
	p := &s.w.primary.n
	if s.w.pool == differs {
		return s.decide(Wait, codes.PoolBlind, fmt.Sprintf("%s; Pgpool-II does not agree that node %s is the primary", reason,
			p.ID)), true
	}
	if own, theirs := s.majors(); own != 0 && theirs != 0 && own != theirs {
		return s.decide(None, codes.VersionMismatch, fmt.Sprintf(
			"%s, but its data is of PostgreSQL %d and the primary's of %d", reason, own, theirs)), true
	}
	if methods[0] != topology.MethodFollow {
		if low := s.settingsTooLow(); low != "" {
			return s.decide(None, codes.SettingsTooLow, reason+", but it would refuse to start: "+low), true
		}
	}
	if o := s.primaryFull(); o.why != "" {
		return s.decide(None, o.code, reason+", but "+o.why), true
	}
	return Decision{}, false
}

// majors are the major versions of the node's data and of the primary; 0 unknown.
func (s *subject) majors() (own, theirs int) {
	own = s.n.Agent.Version
	if s.sql && s.n.SQL.Version != 0 {
		own = major(s.n.SQL.Version)
	}
	return own, major(s.w.primary.n.SQL.Version)
}

// settingsTooLow names the settings that would keep the node from starting.
func (s *subject) settingsTooLow() string {
	for _, name := range hotStandbySettings {
		theirs, err := strconv.Atoi(s.w.primary.n.SQL.Settings[name])
		own, told := s.n.Agent.HotStandby[name]
		if err == nil && told && own < theirs {
			return fmt.Sprintf("%s is %d there and %d on the primary", name, own, theirs)
		}
	}
	return ""
}

// primaryFull says that the primary has no slot or no WAL sender left for the node.
func (s *subject) primaryFull() obstacle {
	f := &s.w.primary.n.SQL
	if most, err := strconv.Atoi(f.Settings["max_replication_slots"]); err == nil && len(f.Slots) >= most && !s.hasSlot() {
		return obstacle{codes.NoSlots, fmt.Sprintf("all %d replication slots of the primary are in use", most)}
	}
	if most, err := strconv.Atoi(f.Settings["max_wal_senders"]); err == nil && len(f.Senders) >= most && !s.hasSender() {
		return obstacle{codes.NoSenders, fmt.Sprintf("all %d WAL senders of the primary are in use", most)}
	}
	return obstacle{}
}

func (s *subject) hasSlot() bool {
	for _, slot := range s.w.primary.n.SQL.Slots {
		if slot.Name == s.slot() {
			return true
		}
	}
	return false
}

func (s *subject) hasSender() bool {
	for _, snd := range s.w.primary.n.SQL.Senders {
		if snd.AppName == s.appName() {
			return true
		}
	}
	return false
}

// cheaperThan says of every method cheaper than m why it does not fit.
func (s *subject) cheaperThan(m topology.Method) []Rejection {
	var out []Rejection
	for _, c := range topology.Methods {
		if c == m {
			break
		}
		out = append(out, Rejection{c, s.whyNot(c)})
	}
	return out
}

// whyNot says why a cheaper method does not fit the node's situation.
func (s *subject) whyNot(m topology.Method) string {
	noData := !s.hasData() || s.damaged() || s.n.Agent.Control == nil
	switch {
	case m == topology.MethodDeltaCopy:
		return "not part of this release"
	case noData && m != topology.MethodAttach:
		return "there is no usable data directory"
	case m == topology.MethodAttach && !s.sql:
		return "its server does not answer"
	case m == topology.MethodAttach:
		return "it does not stream from the primary"
	case s.verdict() == topology.LineageDiverged:
		return "it has WAL that the primary does not have and could not stream"
	case s.walGone():
		return "the primary no longer has the WAL that it needs next"
	case m == topology.MethodStart && s.standbyUp():
		return "its server is already running"
	case m == topology.MethodStart:
		return "it would come up as a primary: there is no standby.signal, or the directory is under repair"
	case m == topology.MethodFollow && !s.standbyUp():
		return "its server is down"
	case m == topology.MethodAdopt && s.standbyUp():
		return "it is already a standby"
	}
	return "it does not fit the node's state"
}
