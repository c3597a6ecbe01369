package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/history"
)

// Tone says how much something matters. It is always said in words as well.
type Tone string

// The tones: Good needs nobody, Busy goes on by itself, Bad needs a person,
// Quiet is by a person's wish or not known yet.
const (
	Good  Tone = "good"
	Busy  Tone = "busy"
	Bad   Tone = "bad"
	Quiet Tone = "quiet"
)

// Past is what the history gives to a View.
type Past struct {
	Events []history.Event // the last ones, oldest first
	Runs   []history.Event // of kind run, oldest first: the vault's entries are in them
	// Err is why the history could not be read; empty when it was.
	Err string
}

// View is one look at a pool, for people.
type View struct {
	At      time.Time
	Version string
	Looked  bool // false: the controller's first look is not over
	// Headline is the pool's state in one sentence, Detail what goes on.
	Headline, Detail string
	Tone             Tone
	Why              string // why this controller only looks; empty: it acts
	Held             *plan.Hold
	Pools            []Pool
	Nodes            []Node
	Primary          topology.NodeID // NoNode: nobody accepts writes
	Work             []Work
	Alarms           []Alarm
	Events           []Event // newest first
	Vault            []Vault // newest first
	PastErr          string
}

// Pool is one Pgpool-II.
type Pool struct {
	Endpoint string
	Tone     Tone
	State    string // in words
	Primary  topology.NodeID
}

// Of makes the view. now is only for ages and times left.
func Of(st control.Status, past Past, now time.Time) View {
	v := View{At: st.At, Version: st.Version, Looked: len(st.Decisions) > 0, Why: st.Why, Primary: topology.NoNode, PastErr: past.Err}
	if st.Acting {
		v.Why = ""
	}
	for i := range st.Memory.Holds {
		if h := st.Memory.Holds[i]; h.Node == topology.NoNode && inForce(h, now) {
			v.Held = &h
		}
	}
	if p := primaryOf(&st.Snapshot); p != nil {
		v.Primary = p.ID
	}
	for i := range st.Snapshot.Pools {
		v.Pools = append(v.Pools, poolOf(&st.Snapshot.Pools[i]))
	}
	for i := range st.Snapshot.Nodes {
		v.Nodes = append(v.Nodes, nodeOf(&st, &st.Snapshot.Nodes[i], now))
	}
	v.headline(&st)
	v.Work = workOf(v.Nodes)
	v.Events, v.Vault = eventsOf(past.Events), vaultOf(&st.Snapshot, past.Runs)
	v.alarms(past, now)
	return v
}

// primaryOf is the node that accepts writes; of several, the one on the newest
// timeline.
func primaryOf(snap *topology.Snapshot) *topology.Node {
	var primary *topology.Node
	for i := range snap.Nodes {
		if n := &snap.Nodes[i]; n.SQL.OK() && !n.SQL.InRecovery && (primary == nil || n.SQL.Timeline > primary.SQL.Timeline) {
			primary = n
		}
	}
	return primary
}

func inForce(h plan.Hold, now time.Time) bool { return h.Until.IsZero() || now.Before(h.Until) }

func poolOf(p *topology.PoolView) Pool {
	out := Pool{Endpoint: p.Endpoint, Tone: Good, State: "answers", Primary: p.Primary}
	switch {
	case !p.OK():
		out.Tone, out.State, out.Primary = Bad, "does not answer: "+orWord(p.Err, "not asked yet"), topology.NoNode
	case p.Watchdog.Enabled:
		out.State = fmt.Sprintf("watchdog %s, quorum %s", strings.ToLower(p.Watchdog.State), quorum(p.Watchdog.Quorum))
		if !p.Watchdog.MayAct() {
			out.Tone = Quiet
		}
	}
	return out
}

func quorum(n int) string {
	switch n {
	case 1:
		return "yes"
	case 0:
		return "just so"
	case -1:
		return "no"
	}
	return "unknown"
}

// headline is what a person reads first, and all that a screen reader says
// aloud without being asked.
func (v *View) headline(st *control.Status) {
	attached, notOK, bad := 0, []string{}, false
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Attach == Attached {
			attached++
		}
		if n.Tone == Good {
			continue
		}
		bad = bad || n.Tone == Bad
		notOK = append(notOK, fmt.Sprintf("node %s: %s", n.ID, n.Doing))
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
	case len(v.Pools) > 0 && v.Pools[0].Tone == Bad:
		v.Tone, v.Headline = Bad, "Pgpool-II does not answer"
		v.Detail = v.Pools[0].State
	case v.Primary == topology.NoNode:
		v.Headline = "No node accepts writes"
		if failingOver(st) {
			v.Tone, v.Headline = Busy, "A failover is under way: no node accepts writes yet"
		}
	case attached == len(v.Nodes) && len(notOK) == 0:
		v.Tone, v.Headline = Good, fmt.Sprintf("All %d nodes are attached and level", attached)
		if attached == 1 {
			v.Headline = "The only node is attached"
		}
		v.Detail = fmt.Sprintf("node %s is the primary", v.Primary)
	default:
		v.Headline = fmt.Sprintf("%d of %d nodes are attached", attached, len(v.Nodes))
		if attached == len(v.Nodes) {
			v.Headline = fmt.Sprintf("All %d nodes are attached", attached)
		}
	}
}

func failingOver(st *control.Status) bool {
	for _, d := range st.Decisions {
		if d.Code == plan.CodeFailoverRunning {
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
