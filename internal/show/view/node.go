package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// Attach says whether Pgpool-II routes to a node.
type Attach string

// The states of an attach. Partly: of several Pgpool-IIs, some route to it.
const (
	Attached      Attach = "attached"
	Detached      Attach = "detached"
	Partly        Attach = "partly attached"
	Quarantined   Attach = "in quarantine"
	AttachUnknown Attach = "attach unknown"
)

// Node is one node, for people.
type Node struct {
	ID      topology.NodeID
	Address string
	Role    string // primary, standby, second primary, stopped, repaired, no answer
	// Postgres is PostgreSQL's state in words, Pgpool what the Pgpool-IIs say.
	Postgres, Pgpool string
	Attach           Attach
	// Upstream is the node that it streams from now, NoNode: none; Cascade that
	// this is not the primary.
	Upstream topology.NodeID
	Cascade  bool
	Timeline string // empty: unknown; in brackets: of the data on disk
	LagBytes uint64
	Lag      string // empty: unknown, or the primary itself
	Tone     Tone
	// Doing is the decision in two or three words, Action only what is done.
	Doing, Action string
	Decision      plan.Decision
	Means         string // what the decision's code stands for
	Estimate      string
	Run           *Run
	Hold          *plan.Hold
	Parked        bool
	ParkedAt      time.Time
	Stale         []string // facts that are missing or old, in words
}

// staleAfter is when a fact is old enough to say so.
const staleAfter = 15 * time.Second

func nodeOf(st *control.Status, n *topology.Node, now time.Time) Node {
	snap := &st.Snapshot
	out := Node{ID: n.ID, Address: address(n), Upstream: upstreamOf(snap, n), Tone: Quiet, Doing: "not looked at yet"}
	primary := primaryOf(snap)
	out.role(n, primary)
	out.attach(snap)
	switch {
	case n.SQL.OK():
		out.Timeline = n.SQL.Timeline.String()
	case n.Agent.OK() && n.Agent.History.Known():
		out.Timeline = "(" + n.Agent.History.TLI.String() + ")"
	}
	if primary != nil && primary != n && n.SQL.OK() && n.SQL.InRecovery {
		out.LagBytes = primary.SQL.Current.Minus(n.SQL.Replay)
		if out.Lag = humanize.IBytes(out.LagBytes); out.LagBytes > 0 && n.SQL.ReplayLagSeconds > 0 {
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
		if h.Node == n.ID && inForce(h, now) {
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
func (o *Node) role(n, primary *topology.Node) {
	a := &n.Agent
	switch {
	case n.SQL.OK() && !n.SQL.InRecovery && n != primary:
		o.Role, o.Postgres = "second primary", "accepts writes beside the primary"
	case n.SQL.OK() && !n.SQL.InRecovery:
		o.Role, o.Postgres = "primary", "accepts writes"
	case n.SQL.OK() && o.Upstream != topology.NoNode:
		o.Role, o.Postgres = "standby", "streams from node "+o.Upstream.String()
	case n.SQL.OK() && n.SQL.Receiver.Status == "streaming":
		o.Role, o.Postgres = "standby", fmt.Sprintf("streams from %s:%d", n.SQL.Receiver.SenderHost, n.SQL.Receiver.SenderPort)
	case n.SQL.OK():
		o.Role, o.Postgres = "standby", "does not stream"
	case a.OK() && a.Dir == topology.DirAside:
		o.Role, o.Postgres = "in repair", "its data directory is in the workshop"
	case a.OK() && a.Dir != topology.DirPresent && a.Dir != topology.DirUnknown:
		o.Role, o.Postgres = "no data", "its data directory is "+string(a.Dir)
	case a.OK() && a.Server != topology.ServerUnknown:
		o.Role, o.Postgres = string(a.Server), "its server is "+string(a.Server)
		if a.Server == topology.ServerRunning {
			o.Role, o.Postgres = "silent", "its server runs and does not answer"
		}
	default:
		o.Role, o.Postgres = "no answer", "neither PostgreSQL nor the agent answers"
	}
}

// attach sums up what every Pgpool-II says.
func (o *Node) attach(snap *topology.Snapshot) {
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

func (o *Node) decide(d plan.Decision) {
	o.Decision = d
	o.Doing, o.Action = string(d.Code), ""
	if info, known := plan.Explain(d.Code); known {
		o.Means = info.Means
	}
	switch {
	case d.Method != "" && d.Method != topology.MethodNone && d.Severity != plan.Refused:
		o.Action = string(d.Method)
	case d.Action != plan.None && d.Action != plan.Wait && d.Action != "":
		o.Action = string(d.Action)
	}
	if o.Action != "" && o.Action != o.Doing {
		o.Doing += " → " + o.Action
	}
	if o.Run != nil && d.Code == plan.CodeResyncing {
		o.Doing = o.Run.Short()
	}
	switch d.Severity {
	case plan.OK:
		o.Tone = Good
	case plan.Work:
		o.Tone = Busy
	case plan.Refused:
		o.Tone = Bad
		if d.Code == plan.CodeOnHold {
			o.Tone = Quiet
		}
	}
	if e := d.Estimate; e.Bytes > 0 || e.Seconds > 0 {
		o.Estimate = fmt.Sprintf("%s to copy, about %s", humanize.IBytes(e.Bytes), seconds(e.Seconds))
		if e.Basis != "" {
			o.Estimate += " (" + e.Basis + ")"
		}
	}
}

func (o *Node) stale(what string, s topology.Source, at time.Time) {
	switch age := at.Sub(s.At); {
	case s.At.IsZero() && s.Err != "":
		o.Stale = append(o.Stale, what+": "+firstLine(s.Err))
	case s.At.IsZero():
		o.Stale = append(o.Stale, what+" was not asked yet")
	case age > staleAfter:
		o.Stale = append(o.Stale, fmt.Sprintf("%s answered last %s ago", what, age.Round(time.Second)))
	}
}

func address(n *topology.Node) string {
	if n.Host == "" {
		return fmt.Sprintf("socket:%d", n.Port)
	}
	return fmt.Sprintf("%s:%d", n.Host, n.Port)
}

// upstreamOf finds the node that n streams from: by the address that its WAL
// receiver names, or else by who says that it sends to n's name.
func upstreamOf(snap *topology.Snapshot, n *topology.Node) topology.NodeID {
	if !n.SQL.OK() || !n.SQL.InRecovery || n.SQL.Receiver.Status != "streaming" {
		return topology.NoNode
	}
	for i := range snap.Nodes {
		if u := &snap.Nodes[i]; u.ID != n.ID && u.Port == n.SQL.Receiver.SenderPort && u.Host == n.SQL.Receiver.SenderHost {
			return u.ID
		}
	}
	for i := range snap.Nodes {
		u := &snap.Nodes[i]
		if u.ID == n.ID || !u.SQL.OK() || n.AppName == "" {
			continue
		}
		for _, s := range u.SQL.Senders {
			if s.AppName == n.AppName && s.State == "streaming" {
				return u.ID
			}
		}
	}
	return topology.NoNode
}
