package hook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
)

// allow applies policy.failover to the candidates. What it refuses may be allowed once
// more standbys have answered.
//
// Under synchronous replication the candidate is a synchronous standby that has every
// acknowledged commit: the one with the most WAL, once as many members of the last
// known set have answered as topology.Synchronous.Answers says. A standby outside the
// set may be ahead of it, in commits that nobody was promised; it is not promoted.
func (c *choice) allow(views []view, last Primary, rules config.FailoverRules) {
	c.best = slices.MaxFunc(c.order, byPosition)
	if want := max(1, rules.MinAnswers); len(c.order) < want {
		c.wait(CodeTooFewAnswers, "%d standbys of the lost primary's line answer,"+
			" and policy.failover.min_answers is %d", len(c.order), want)
		return
	}
	if rules.Synchronous != config.SyncNever {
		if !c.keepSynchronous(promiseOf(views, last), rules.Synchronous == config.SyncAlways) {
			return
		}
	}
	if rules.MaxLag == nil {
		return
	}
	known := max(last.Position, c.best.facts.Position())
	c.order = slices.DeleteFunc(c.order, func(v view) bool {
		behind := known.Minus(v.facts.Position())
		if behind <= *rules.MaxLag {
			return false
		}
		c.note("node %s: at %s, %d bytes behind %s", v.node, v.facts.Position(), behind, known)
		return true
	})
	switch {
	case last.Position == 0:
		c.wait(CodeTooFarBehind, "how far the lost primary's WAL went is not on record,"+
			" and policy.failover.max_lag is %d bytes", *rules.MaxLag)
	case len(c.order) == 0:
		c.wait(CodeTooFarBehind, "no standby that may be promoted is within policy.failover.max_lag (%d bytes) of %s,"+
			" to where the lost primary's WAL is known to have gone", *rules.MaxLag, known)
	}
}

// promiseOf is what the lost primary's synchronous replication promised. Where that is
// not on record, the standbys' own setting counts, and each may be a member.
func promiseOf(views []view, last Primary) *topology.Synchronous {
	if last.Synchronous != nil {
		return last.Synchronous
	}
	var others []topology.NodeID
	names := ""
	for _, v := range views {
		others = append(others, v.node)
		if v.err == nil && strings.TrimSpace(v.facts.SyncNames) != "" {
			names = v.facts.SyncNames
		}
	}
	return topology.AnyCouldHold(names, others)
}

// keepSynchronous leaves only those candidates that hold every acknowledged commit.
// always: there must be such a promise.
func (c *choice) keepSynchronous(s *topology.Synchronous, always bool) bool {
	if !s.Promised() {
		if always {
			c.wait(CodeSynchronousMissing, "no synchronous standby is on record,"+
				" and policy.failover.require_synchronous is always")
		}
		return !always
	}
	members := slices.Clone(c.order)
	members = slices.DeleteFunc(members, func(v view) bool { return !s.Has(v.node) })
	if len(members) < s.Answers() {
		c.wait(CodeSynchronousMissing, "%d of the synchronous standbys (%s) answer on the lost primary's line,"+
			" and only %d of them together have every commit that was acknowledged"+
			" under synchronous_standby_names = '%s'", len(members),
			membersText(s), s.Answers(), s.Names)
		return false
	}
	most := slices.MaxFunc(members, byPosition)
	c.order = slices.DeleteFunc(members, func(v view) bool { return v.facts.Position() < most.facts.Position() })
	return true
}

func byPosition(a, b view) int { return cmp.Compare(a.facts.Position(), b.facts.Position()) }

// wait refuses until others have answered.
func (c *choice) wait(code Code, format string, args ...any) {
	*c = c.refuse(code, format, args...)
	c.waits, c.order = true, nil
}

// anyway is the line that promotes the standby of the line with the most WAL of those
// that answer, whatever the rules say.
func (d *Deps) anyway(best view) string {
	n := d.Pool.Node(best.node)
	line := "psql"
	if n.Host != "" {
		line += " -h " + n.Host
	}
	line += fmt.Sprintf(" -p %d -d postgres", n.Port)
	if user := d.Pool.Database.User; user != "" {
		line += " -U " + user
	}
	return line + ` -c "SELECT pg_promote()"`
}

func membersText(s *topology.Synchronous) string {
	var all []string
	for _, m := range s.Members {
		switch {
		case m.Node != topology.NoNode:
			all = append(all, "node "+m.Node.String())
		default:
			all = append(all, fmt.Sprintf("%q, which is not known to be a node of the pool", m.Name))
		}
	}
	if len(all) == 0 {
		return "none was connected"
	}
	return strings.Join(all, ", ")
}
