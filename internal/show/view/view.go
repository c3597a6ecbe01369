package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// Tone says how much something matters. Words always say it too.
type Tone string

// The tones: Good needs nobody, Busy proceeds by itself, Bad needs a person,
// Quiet is by a person's wish, or not known yet.
const (
	Good  Tone = "good"
	Busy  Tone = "busy"
	Bad   Tone = "bad"
	Quiet Tone = "quiet"
)

// Past is what the history gives to a View.
type Past struct {
	Events []event.Event // the last ones, oldest first
	Runs   []event.Event // of kind run, oldest first; they hold the vault's entries
	// Err is why the history could not be read; empty when it was.
	Err string
}

// View is one look at a pool, in words. Its JSON is what a script may want of
// them; the facts are in control.Status.
type View struct {
	// Headline is the pool's state in one sentence, Detail what is being done.
	Headline string     `json:"headline"`
	Detail   string     `json:"detail"`
	Tone     Tone       `json:"tone"`
	Nodes    []NodeView `json:"nodes"`
	// Writers are the nodes that accept writes: one in a pool that works.
	Writers []topology.NodeID `json:"writers"`
	// WritesTo is the node to which Pgpool-II sends writes; NoNode: to none.
	WritesTo topology.NodeID `json:"writes_to"`

	At       time.Time       `json:"-"`
	Version  string          `json:"-"`
	Looked   bool            `json:"-"` // false: the controller's first look is not over
	Why      string          `json:"-"` // why this controller is not acting; empty: it is
	Held     *plan.Hold      `json:"-"` // the hold on the whole pool, if any
	Pools    []Pool          `json:"-"`
	Failover string          `json:"-"` // why Pgpool-II cannot run its failover command; empty: it can
	Primary  topology.NodeID `json:"-"` // NoNode: nobody accepts writes
	Attached int             `json:"-"` // how many nodes are attached
	Work     []Work          `json:"-"`
	Alarms   []Alarm         `json:"-"`
	Events   []Event         `json:"-"` // newest first
	Vault    []Vault         `json:"-"` // newest first
}

// Report is a status with its words beside it: what `status --json` and the
// page's API print.
type Report struct {
	control.Status
	View View `json:"view"`
}

// ReportOf words a status; now is only for ages and times left.
func ReportOf(st control.Status, now time.Time) Report { return Report{st, Of(st, Past{}, now)} }

// Pool is one Pgpool-II.
type Pool struct {
	Name string // "Pgpool-II host:port"
	Tone Tone
	// Note is what it says, in words; Err all of the error where it does not answer.
	Note, Err string
}

// Of makes the view. now is only for ages and times left.
func Of(st control.Status, past Past, now time.Time) View {
	v := View{At: st.At, Version: st.Version, Looked: len(st.Decisions) > 0, Why: st.Why, Primary: topology.NoNode,
		Failover: st.Snapshot.FailoverTrouble}
	if st.Acting {
		v.Why = ""
	}
	for i := range st.Memory.Holds {
		if h := st.Memory.Holds[i]; h.Node == topology.NoNode && h.Covers(topology.NoNode, now) {
			v.Held = &h
		}
	}
	if p := primaryOf(&st); p != nil {
		v.Primary = p.ID
	}
	v.Writers, v.WritesTo = writersOf(&st.Snapshot), writesTo(&st.Snapshot)
	for i := range st.Snapshot.Pools {
		v.Pools = append(v.Pools, poolOf(&st.Snapshot.Pools[i]))
	}
	for i := range st.Snapshot.Nodes {
		v.Nodes = append(v.Nodes, nodeOf(&st, &st.Snapshot.Nodes[i], now))
	}
	v.Work = workOf(v.Nodes)
	for i := range v.Work {
		v.Work[i].whichToKeep(&v)
	}
	v.headline(&st)
	v.failoverBroken()
	v.Events, v.Vault = eventsOf(past.Events), vaultOf(&st.Snapshot, past.Runs)
	v.alarms(past, now)
	return v
}

func poolOf(p *topology.PoolView) Pool {
	out := Pool{Name: "Pgpool-II " + p.Endpoint, Tone: Good, Note: "writes go to node " + p.Primary.String()}
	switch {
	case !p.OK():
		out.Tone, out.Note, out.Err = Bad, "does not answer", orWord(p.Err, "not checked yet")
		return out
	case p.Primary == topology.NoNode:
		out.Tone, out.Note = Busy, "knows no primary"
	}
	if p.Waiting != "" {
		out.Tone = Busy
		out.Note += " · " + p.Waiting
	}
	if p.Watchdog.Enabled {
		out.Note += fmt.Sprintf(" · watchdog %s, %s", strings.ToLower(p.Watchdog.State), quorum(p.Watchdog.Quorum))
		if !p.Watchdog.MayAct() {
			out.Tone = Quiet
		}
	}
	return out
}

// quorum is Pgpool-II's number in Pgpool-II's words.
func quorum(n int) string {
	switch n {
	case 1:
		return "quorum exists"
	case 0:
		return "quorum on the edge"
	case -1:
		return "no quorum"
	}
	return "quorum unknown"
}

// headline is what a person reads first, and all that a screen reader announces
// unasked.
func (v *View) headline(st *control.Status) {
	notOK, bad := []string{}, false
	for i := range v.Nodes {
		if v.Nodes[i].Attach == Attached {
			v.Attached++
		}
	}
	for i := range v.Work {
		if w := &v.Work[i]; w.Tone != Good {
			bad = bad || w.Tone == Bad
			notOK = append(notOK, strings.ToLower(w.Subject[:1])+w.Subject[1:]+": "+w.Doing)
		}
	}
	v.Detail = strings.Join(notOK[:min(len(notOK), 4)], " · ")
	if len(notOK) > 4 {
		v.Detail += fmt.Sprintf(" · and %d more", len(notOK)-4)
	}
	v.Tone = Busy
	if bad {
		v.Tone = Bad
	}
	switch {
	case !v.Looked:
		v.Tone, v.Headline, v.Detail = Quiet, "Looking at the pool for the first time", ""
	case len(v.Writers) > 1:
		v.Tone, v.Headline = Bad, severalWriters(v.Writers)
	case len(v.Pools) > 0 && v.Pools[0].Err != "":
		v.Tone, v.Headline, v.Detail = Bad, "Pgpool-II does not answer", firstLine(v.Pools[0].Err)
	case v.Primary == topology.NoNode:
		v.Headline = "No node accepts writes"
		if failingOver(st) {
			v.Tone, v.Headline = Busy, "A failover is under way: no node accepts writes yet"
		}
	case v.Attached == len(v.Nodes) && len(notOK) == 0:
		v.Tone, v.Headline = Good, fmt.Sprintf("All %d nodes are attached and healthy", v.Attached)
		if v.Attached == 1 {
			v.Headline = "The only node is attached"
		}
		v.Detail = fmt.Sprintf("node %s is the primary", v.Primary)
		for i := range v.Nodes {
			if n := &v.Nodes[i]; n.Decision.Warning != "" {
				v.Detail += fmt.Sprintf(" · node %s: %s", n.ID, n.Decision.Warning)
			}
		}
	default:
		v.Headline = fmt.Sprintf("%d of %d nodes are attached", v.Attached, len(v.Nodes))
		if v.Attached == len(v.Nodes) {
			v.Headline = fmt.Sprintf("All %d nodes are attached", v.Attached)
		}
	}
}

// NoFailover is the title of View.Failover.
const NoFailover = "Pgpool-II cannot run its failover command: nothing is promoted if the primary fails"

// FailoverHint is what a person can do about it.
func FailoverHint() string {
	info, _ := codes.Explain(codes.FailoverCommandBroken) // it is in the table
	return info.Do
}

// failoverBroken warns of a pool that looks well and has no failover.
func (v *View) failoverBroken() {
	if v.Failover == "" || !v.Looked {
		return
	}
	v.Tone = Bad
	if v.Primary != topology.NoNode {
		v.Headline += ", but Pgpool-II cannot fail over"
		v.Detail = v.Failover
	}
}

func failingOver(st *control.Status) bool {
	for _, d := range st.Decisions {
		if d.Code == codes.FailoverRunning {
			return true
		}
	}
	return false
}

func orWord(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

// firstLine is a text's first line, blanks collapsed.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return strings.Join(strings.Fields(s), " ")
}
