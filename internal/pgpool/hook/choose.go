package hook

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
)

// Code names the outcome of a hook; a code never changes.
type Code string

// The codes. Those of the first group leave nothing to do; the others leave
// the event in the spool.
const (
	CodePromoted       Code = "promoted"
	CodeAlreadyPrimary Code = "already-primary"
	CodeStandbyFailed  Code = "standby-failed"
	CodeNoted          Code = "noted"
	CodePrimaryBack    Code = "primary-back"
	CodeAlwaysPrimary  Code = "always-primary"
	CodeRecovered      Code = "recovered"
	CodeOutdated       Code = "outdated" // the event is over: see outdated

	CodeNoCandidate        Code = "no-candidate"   // no standby answers
	CodeWrongLine          Code = "wrong-line"     // those that answer are not of the primary's line
	CodeLineUnclear        Code = "line-unclear"   // standbys of two lines, nothing to tell which is right
	CodeSystemUnclear      Code = "system-unclear" // nodes of two system identifiers
	CodeSynchronousMissing      = Code(codes.SynchronousMissing)
	CodeTooFewAnswers           = Code(codes.TooFewAnswers)
	CodeTooFarBehind            = Code(codes.TooFarBehind)

	CodeNotFenced    Code = "not-fenced"    // the old primary is alive and cannot be stopped
	CodeStarting     Code = "starting"      // the old primary is starting or shutting down
	CodeUnconfirmed  Code = "unconfirmed"   // no promotion was confirmed
	CodeBusy         Code = "busy"          // another failover is under way
	CodeNotRecovered Code = "not-recovered" // online recovery failed
)

// view is what a probe of one node found.
type view struct {
	node  topology.NodeID
	facts Facts
	err   error // no answer; facts are void
	// attached: Pgpool-II routes to the node, or nobody knows.
	attached bool
}

// choice is what to do about a lost primary.
type choice struct {
	// primary is a node that is a valid primary already, or NoNode.
	primary topology.NodeID
	// back is the lost primary where it has come back, or NoNode.
	back topology.NodeID
	// line is the line that the promoted node must be of.
	line topology.History
	// order lists the candidates, best first; empty: code and why give the reason.
	order []view
	code  Code
	why   string
	// waits: more answers could change a refusal.
	waits bool
	best  view     // where waits: the one with the most WAL, which the rules refuse
	notes []string // about the nodes passed over, for a person
}

// choose decides what to do about a lost primary. It is pure. The failed node is
// not among views. last is the last proven primary, the zero value if there is no
// record of it; preferred is Pgpool-II's choice, which only breaks ties.
//
// The order among standbys: attached before detached, since the controller has
// proven the attached ones and Pgpool-II looks for its primary among them; then
// those on the last timeline before those behind it; then the most WAL. Standbys
// of another line are never promoted. The rules can refuse what is left: see allow.
func choose(views []view, last Primary, preferred topology.NodeID, rules config.FailoverRules) choice {
	c := choice{primary: topology.NoNode, back: topology.NoNode}
	var live []view
	for _, v := range views {
		if v.err != nil {
			c.note("node %s: no answer: %v", v.node, v.err)
			continue
		}
		live = append(live, v)
	}
	if len(live) == 0 {
		return c.refuse(CodeNoCandidate, "no other node answers")
	}
	live, ok := c.sameSystem(live, last.SystemID)
	if !ok {
		return c
	}
	if !c.findLine(live, last.History) {
		return c
	}
	for _, v := range live {
		rel := relate(v.facts.History, 0, c.line)
		if v.facts.InRecovery {
			continue
		}
		if rel == onLine || rel == ahead {
			c.primary = v.node
			return c
		}
		c.note("node %s runs as a primary on timeline %s, which the lost primary's line has left: not touched",
			v.node, v.facts.History.Text())
	}
	c.rank(live, preferred)
	if len(c.order) > 0 {
		c.allow(views, last, rules)
	}
	return c
}

func (c *choice) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

func (c choice) refuse(code Code, format string, args ...any) choice {
	c.code, c.why = code, fmt.Sprintf(format, args...)
	return c
}

// sameSystem keeps the nodes of the recorded system identifier, or of the one
// that more nodes have than any other.
func (c *choice) sameSystem(live []view, want topology.SystemID) ([]view, bool) {
	if want == 0 {
		count := map[topology.SystemID]int{}
		for _, v := range live {
			count[v.facts.SystemID]++
		}
		best := 0
		for _, v := range live { // not over the map: its order is not stable
			if n := count[v.facts.SystemID]; n > best {
				best, want = n, v.facts.SystemID
			}
		}
		for id, n := range count {
			if id != want && n == best {
				*c = c.refuse(CodeSystemUnclear, "nodes with system identifiers %s and %s answer; the right one is not on record",
					min(id, want), max(id, want))
				return nil, false
			}
		}
	}
	var same []view
	for _, v := range live {
		if v.facts.SystemID == want {
			same = append(same, v)
			continue
		}
		c.note("node %s: system identifier %s, not %s", v.node, v.facts.SystemID, want)
	}
	if len(same) == 0 {
		*c = c.refuse(CodeWrongLine, "no node that answers has system identifier %s", want)
		return nil, false
	}
	return same, true
}

// findLine sets the line that a new primary must be of: the recorded one, or
// what attached nodes have that descends from it (the record may be older than
// the newest promotion). Without any attached node the others have the say.
func (c *choice) findLine(live []view, recorded topology.History) bool {
	voices := slices.Clone(live)
	if slices.ContainsFunc(live, func(v view) bool { return v.attached }) {
		voices = slices.DeleteFunc(voices, func(v view) bool { return !v.attached })
	}
	slices.SortStableFunc(voices, func(a, b view) int { return cmp.Compare(a.facts.History.TLI, b.facts.History.TLI) })
	c.line = recorded
	for _, v := range voices {
		h := v.facts.History
		if !c.line.Known() {
			c.line = h
			continue
		}
		switch relate(h, 0, c.line) {
		case ahead:
			c.line = h
		case onLine:
			if numberOnly(c.line) && !numberOnly(h) {
				c.line = h
			}
		case offLine:
			if !recorded.Known() || relate(h, 0, recorded) == ahead {
				*c = c.refuse(CodeLineUnclear, "node %s is on timeline %s and another on %s, neither descends from the other,"+
					" and there is no record of the last primary's", v.node, h.Text(), c.line.Text())
				return false
			}
		}
	}
	return true
}

// rank orders the standbys of the line.
func (c *choice) rank(live []view, preferred topology.NodeID) {
	class := map[topology.NodeID]int{}
	for _, v := range live {
		if !v.facts.InRecovery {
			continue
		}
		k := 0
		switch relate(v.facts.History, v.facts.Position(), c.line) {
		case onLine:
		case behind:
			k = 2
		default:
			c.note("node %s: on timeline %s at %s, which is not of the lost primary's line %s: not promoted",
				v.node, v.facts.History.Text(), v.facts.Position(), c.line.Text())
			continue
		}
		if !v.attached {
			k++
		}
		class[v.node] = k
		c.order = append(c.order, v)
	}
	slices.SortStableFunc(c.order, func(a, b view) int {
		return cmp.Or(
			cmp.Compare(class[a.node], class[b.node]),
			-cmp.Compare(a.facts.Position(), b.facts.Position()),
			-cmp.Compare(b2i(a.node == preferred), b2i(b.node == preferred)),
			cmp.Compare(a.node, b.node))
	})
	if len(c.order) == 0 {
		*c = c.refuse(CodeWrongLine, "no standby of the lost primary's line %s answers", c.line.Text())
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
