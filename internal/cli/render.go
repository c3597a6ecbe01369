package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// renderStatus prints one pool for a person: a line for each node, then what
// repool does about those that need something.
func renderStatus(w io.Writer, st control.Status, colour bool, now time.Time) error {
	snap := &st.Snapshot
	t := &table{head: []string{"NODE", "ADDRESS", "PGPOOL-II", "POSTGRESQL", "TIMELINE", "LAG", "REPOOL"}}
	primary := snap.Primary()
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		t.add(txt("%d", n.ID), txt("%s", address(n)), poolCell(snap, n.ID), roleCell(n), timelineCell(n), lagCell(n, primary), decisionCell(st, n.ID))
	}
	if err := t.write(w, colour); err != nil {
		return err
	}
	var b strings.Builder
	for _, p := range snap.Pools {
		if p.Err != "" {
			fmt.Fprintf(&b, "\nPgpool-II at %s does not answer: %s\n", p.Endpoint, indent(p.Err, "    "))
		} else if p.Watchdog.Enabled {
			fmt.Fprintf(&b, "\nPgpool-II at %s is watchdog member in state %s, quorum %d\n", p.Endpoint, p.Watchdog.State, p.Watchdog.Quorum)
		}
	}
	for _, d := range st.Decisions {
		if d.Severity == plan.OK {
			continue
		}
		fmt.Fprintf(&b, "\nnode %d: %s\n", d.Node, withCode(d.Reason, d.Code))
		if n := snap.Node(d.Node); n != nil && n.Agent.Run != nil && !n.Agent.Run.Outcome.Ended() {
			fmt.Fprintf(&b, "  %s\n", runLine(*n.Agent.Run, now))
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "  → %s\n", indent(d.Hint, "    "))
		}
	}
	if st.Why != "" {
		fmt.Fprintf(&b, "\nrepool only looks: %s\n", st.Why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// withCode is a reason with its code behind its first line.
func withCode(reason string, code plan.Code) string {
	first, rest, more := strings.Cut(strings.TrimSpace(reason), "\n")
	first += " (" + string(code) + ")"
	if more {
		first += "\n    " + indent(rest, "    ")
	}
	return first
}

func address(n *topology.Node) string {
	if n.Host == "" {
		return fmt.Sprintf("socket:%d", n.Port)
	}
	return fmt.Sprintf("%s:%d", n.Host, n.Port)
}

// poolCell is what the Pgpool-IIs think; where they differ, each is named.
func poolCell(snap *topology.Snapshot, id topology.NodeID) cell {
	var said []string
	attached := true
	for i := range snap.Pools {
		p := &snap.Pools[i]
		v := p.Node(id)
		s := "?"
		if p.OK() && v != nil {
			s = string(v.Status)
			if v.Quarantine {
				s = "quarantine"
			}
			s += " " + v.Role
		}
		attached = attached && v != nil && v.Attached()
		if len(said) == 0 || said[len(said)-1] != s {
			said = append(said, s)
		}
	}
	if attached {
		return painted(green, strings.Join(said, " / "))
	}
	return painted(red, strings.Join(said, " / "))
}

func roleCell(n *topology.Node) cell {
	switch {
	case n.SQL.OK() && !n.SQL.InRecovery:
		return painted(green, "primary")
	case n.SQL.OK() && n.SQL.Receiver.Status == "streaming":
		return painted(green, fmt.Sprintf("standby of %s:%d", n.SQL.Receiver.SenderHost, n.SQL.Receiver.SenderPort))
	case n.SQL.OK():
		return painted(yellow, "standby, not streaming")
	case n.Agent.OK() && n.Agent.Dir == topology.DirAside:
		return painted(yellow, "in the workshop")
	case n.Agent.OK() && n.Agent.Dir != topology.DirPresent:
		return painted(red, "data directory "+string(n.Agent.Dir))
	case n.Agent.OK():
		return painted(red, string(n.Agent.Server))
	default:
		return painted(red, "no answer")
	}
}

func timelineCell(n *topology.Node) cell {
	switch {
	case n.SQL.OK():
		return txt("%d", n.SQL.Timeline)
	case n.Agent.OK() && n.Agent.History.Known():
		return painted(faint, fmt.Sprintf("(%d)", n.Agent.History.TLI))
	}
	return painted(faint, "-")
}

func lagCell(n, primary *topology.Node) cell {
	if primary == nil || !n.SQL.OK() || !n.SQL.InRecovery {
		return painted(faint, "-")
	}
	bytes := primary.SQL.Current.Minus(n.SQL.Replay)
	if bytes == 0 {
		return txt("0")
	}
	return txt("%s, %.1fs", humanize.IBytes(bytes), n.SQL.ReplayLagSeconds)
}

func decisionCell(st control.Status, id topology.NodeID) cell {
	for _, d := range st.Decisions {
		if d.Node != id {
			continue
		}
		text := string(d.Code)
		if d.Method != "" && d.Method != topology.MethodNone {
			text += " → " + string(d.Method)
		} else if d.Action != plan.None && d.Action != plan.Wait {
			text += " → " + string(d.Action)
		}
		switch d.Severity {
		case plan.OK:
			return painted(green, text)
		case plan.Work:
			return painted(yellow, text)
		default:
			return painted(red, text)
		}
	}
	return painted(faint, "-")
}

// renderPlan prints each node's decision with its evidence and the methods
// that were not chosen.
func renderPlan(w io.Writer, decisions []plan.Decision, colour bool) error {
	var b strings.Builder
	paint := func(c, s string) string {
		if !colour {
			return s
		}
		return c + s + plain
	}
	for i, d := range decisions {
		if i > 0 {
			b.WriteString("\n")
		}
		what := string(d.Action)
		switch d.Action {
		case plan.Resync:
			what = string(d.Method)
		case plan.None:
			what = "nothing to do"
			if d.Severity == plan.Refused {
				what = "left alone"
			}
		}
		colourOf := map[plan.Severity]string{plan.OK: green, plan.Work: yellow, plan.Refused: red}[d.Severity]
		fmt.Fprintf(&b, "node %d: %s (%s)\n  %s\n", d.Node, paint(colourOf, what), d.Code, indent(d.Reason, "    "))
		for _, e := range d.Evidence {
			fmt.Fprintf(&b, "  · %s\n", indent(e, "    "))
		}
		for _, r := range d.Rejected {
			fmt.Fprintf(&b, "  not %s: %s\n", r.Method, indent(r.Why, "    "))
		}
		if d.Action == plan.Resync {
			fmt.Fprintf(&b, "  estimate: %s to copy, about %.1f s", humanize.IBytes(d.Estimate.Bytes), d.Estimate.Seconds)
			if d.Estimate.Basis != "" {
				fmt.Fprintf(&b, " (%s)", d.Estimate.Basis)
			}
			b.WriteString("\n")
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "  → %s\n", indent(d.Hint, "    "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
