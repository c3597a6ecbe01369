package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// Attach says whether Pgpool-II routes to a node.
type Attach string

// The states of attachment. Partly: some of several Pgpool-IIs route to the node.
const (
	Attached      Attach = "attached"
	Detached      Attach = "detached"
	Partly        Attach = "partly attached"
	Quarantined   Attach = "quarantined"
	AttachUnknown Attach = "attachment unknown"
)

// NodeView is one node, in words.
type NodeView struct {
	ID      topology.NodeID `json:"node"`
	Address string          `json:"address"`
	// Role is what the node is: primary, standby, second primary, in repair,
	// stopped, unreachable. Postgres says more of its server, in Health's tone.
	Role     string `json:"role"`
	Postgres string `json:"postgres"`
	Health   Tone   `json:"-"`
	// Pgpool is what each Pgpool-II says of the node, Attach the sum of it.
	Pgpool string `json:"pgpool"`
	Attach Attach `json:"attach"`
	// Upstream is the node that it streams from, or NoNode. Cascade: that node is
	// not the primary.
	Upstream topology.NodeID `json:"-"`
	Cascade  bool            `json:"-"`
	Timeline string          `json:"timeline"` // empty: unknown; in brackets: read from the data on disk
	Lag      string          `json:"lag"`      // empty: unknown, or the primary itself
	Tone     Tone            `json:"tone"`
	Doing    string          `json:"doing"` // the decision, or the run under way, in two or three words

	Decision Decision   `json:"-"`
	Run      *Run       `json:"-"` // nil: no run is under way
	Hold     *plan.Hold `json:"-"`
	Parked   bool       `json:"-"`
	ParkedAt time.Time  `json:"-"`
	Stale    []string   `json:"-"` // facts that are missing or old
}

// staleAfter is when a fact is old enough to say so.
const staleAfter = 15 * time.Second

func nodeOf(st *control.Status, n *topology.Node, now time.Time) NodeView {
	snap := &st.Snapshot
	out := NodeView{ID: n.ID, Address: address(n), Upstream: topology.Sender(snap.Nodes, n),
		Tone: Quiet, Doing: "not checked yet"}
	primary := primaryOf(st)
	out.role(n, primary)
	out.attach(snap)
	switch {
	case n.SQL.OK():
		out.Timeline = n.SQL.Timeline.String()
	case n.Agent.OK() && n.Agent.History.Known():
		out.Timeline = "(" + n.Agent.History.TLI.String() + ")"
	}
	if primary != nil && primary != n && n.SQL.OK() && n.SQL.InRecovery {
		behind := primary.SQL.Current.Minus(n.SQL.Replay)
		if out.Lag = humanize.IBytes(behind); behind > 0 && n.SQL.ReplayLagSeconds > 0 {
			out.Lag += fmt.Sprintf(", %.1f s", n.SQL.ReplayLagSeconds)
		}
	}
	out.Cascade = out.Upstream != topology.NoNode && primary != nil && out.Upstream != primary.ID
	if r := n.Agent.Run; n.Agent.OK() && r != nil && !r.Outcome.Ended() {
		out.Run = RunOf(*r, now)
	}
	for _, d := range st.Decisions {
		if d.Node == n.ID {
			out.decide(d)
		}
	}
	for _, h := range st.Memory.Holds {
		if h.Node == n.ID && h.Covers(n.ID, now) {
			out.Hold = &h
		}
	}
	for _, m := range st.Memory.Nodes {
		if m.Node == n.ID && m.Parked != "" {
			out.Parked, out.ParkedAt = true, m.ParkedAt
		}
	}
	out.stale("PostgreSQL", n.SQL.Source, st.At)
	out.stale("the agent", n.Agent.Source, st.At)
	return out
}

// role says what PostgreSQL is on the node.
func (o *NodeView) role(n, primary *topology.Node) {
	a := &n.Agent
	switch {
	case n.SQL.OK() && !n.SQL.InRecovery && n != primary:
		o.Role, o.Postgres, o.Health = "second primary", "accepts writes too", Bad
	case n.SQL.OK() && !n.SQL.InRecovery:
		o.Role, o.Postgres, o.Health = "primary", "accepts writes", Good
	case n.SQL.OK() && o.Upstream != topology.NoNode:
		o.Role, o.Postgres, o.Health = "standby", "streams from node "+o.Upstream.String(), Good
	case n.SQL.OK() && n.SQL.Receiver.Status == "streaming":
		o.Role, o.Health = "standby", Good
		o.Postgres = fmt.Sprintf("streams from %s:%d", n.SQL.Receiver.SenderHost, n.SQL.Receiver.SenderPort)
	case n.SQL.OK():
		o.Role, o.Postgres, o.Health = "standby", "not streaming", Busy
	case a.OK() && a.Dir == topology.DirInRepair:
		o.Role, o.Postgres, o.Health = "in repair", "data directory in repair", Busy
	case a.OK() && a.Dir != topology.DirPresent && a.Dir != topology.DirUnknown:
		o.Role, o.Postgres, o.Health = "no data", "data directory "+string(a.Dir), Bad
	case a.OK() && a.Server == topology.ServerRunning:
		o.Role, o.Postgres, o.Health = "unresponsive", "server running, no answer", Bad
	case a.OK() && a.Server != topology.ServerUnknown:
		o.Role, o.Postgres, o.Health = string(a.Server), "server "+string(a.Server), Bad
	default:
		o.Role, o.Postgres, o.Health = "unreachable", "no answer, nor from the agent", Bad
	}
}

// attach sums up what every Pgpool-II says; neighbours that agree are said once.
func (o *NodeView) attach(snap *topology.Snapshot) {
	var said []string
	yes, no, quarantine := 0, 0, false
	for i := range snap.Pools {
		p := &snap.Pools[i]
		v := p.Node(o.ID)
		s := "unknown"
		if p.OK() && v != nil {
			s = string(v.Status)
			switch {
			case v.Quarantine:
				s, quarantine = "quarantine", true
			case v.Attached():
				yes++
			default:
				no++
			}
			s += " " + v.Role
		}
		if len(said) == 0 || said[len(said)-1] != s {
			said = append(said, s)
		}
	}
	o.Pgpool = orWord(strings.TrimSpace(strings.Join(said, " / ")), "unknown")
	switch {
	case quarantine:
		o.Attach = Quarantined
	case yes > 0 && no > 0:
		o.Attach = Partly
	case yes > 0:
		o.Attach = Attached
	case no > 0:
		o.Attach = Detached
	default:
		o.Attach = AttachUnknown
	}
}

func (o *NodeView) decide(d plan.Decision) {
	o.Decision = DecisionOf(d)
	o.Doing, o.Tone = o.Decision.Doing, o.Decision.Tone
	if o.Run != nil && d.Code == codes.Resyncing {
		o.Doing = o.Run.Short()
	}
}

func (o *NodeView) stale(what string, s topology.Source, at time.Time) {
	switch age := at.Sub(s.At); {
	case s.At.IsZero() && s.Err != "":
		o.Stale = append(o.Stale, what+": "+firstLine(s.Err))
	case s.At.IsZero():
		o.Stale = append(o.Stale, what+" not checked yet")
	case age > staleAfter:
		o.Stale = append(o.Stale, fmt.Sprintf("%s last answered %s ago", what, age.Round(time.Second)))
	}
}

func address(n *topology.Node) string {
	if n.Host == "" {
		return fmt.Sprintf("socket:%d", n.Port)
	}
	return fmt.Sprintf("%s:%d", n.Host, n.Port)
}
