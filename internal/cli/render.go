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
	"github.com/repool/repool/internal/terminal"
)

// renderStatus prints one pool for a person: a line for each node, then what
// repool does about those that need something.
func renderStatus(w io.Writer, st control.Status, colour bool, now time.Time) error {
	snap := &st.Snapshot
	t := &terminal.Table{Head: []string{"NODE", "ADDRESS", "PGPOOL-II", "POSTGRESQL", "TIMELINE", "LAG", "REPOOL"}}
	primary := snap.Primary()
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		t.Add(terminal.Text("%d", n.ID), terminal.Text("%s", address(n)), poolCell(snap, n.ID), roleCell(n), timelineCell(n), lagCell(n, primary), decisionCell(st, n.ID))
	}
	if err := t.Write(w, colour); err != nil {
		return err
	}
	var b strings.Builder
	for _, p := range snap.Pools {
		if p.Err != "" {
			fmt.Fprintf(&b, "\nPgpool-II at %s does not answer: %s\n", p.Endpoint, terminal.Indent(p.Err, "    "))
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
			fmt.Fprintf(&b, "  → %s\n", terminal.Indent(d.Hint, "    "))
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
		first += "\n    " + terminal.Indent(rest, "    ")
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
func poolCell(snap *topology.Snapshot, id topology.NodeID) terminal.Cell {
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
		return terminal.Painted(terminal.Green, strings.Join(said, " / "))
	}
	return terminal.Painted(terminal.Red, strings.Join(said, " / "))
}

func roleCell(n *topology.Node) terminal.Cell {
	switch {
	case n.SQL.OK() && !n.SQL.InRecovery:
		return terminal.Painted(terminal.Green, "primary")
	case n.SQL.OK() && n.SQL.Receiver.Status == "streaming":
		return terminal.Painted(terminal.Green, fmt.Sprintf("standby of %s:%d", n.SQL.Receiver.SenderHost, n.SQL.Receiver.SenderPort))
	case n.SQL.OK():
		return terminal.Painted(terminal.Yellow, "standby, not streaming")
	case n.Agent.OK() && n.Agent.Dir == topology.DirAside:
		return terminal.Painted(terminal.Yellow, "in the workshop")
	case n.Agent.OK() && n.Agent.Dir != topology.DirPresent:
		return terminal.Painted(terminal.Red, "data directory "+string(n.Agent.Dir))
	case n.Agent.OK():
		return terminal.Painted(terminal.Red, string(n.Agent.Server))
	default:
		return terminal.Painted(terminal.Red, "no answer")
	}
}

func timelineCell(n *topology.Node) terminal.Cell {
	switch {
	case n.SQL.OK():
		return terminal.Text("%d", n.SQL.Timeline)
	case n.Agent.OK() && n.Agent.History.Known():
		return terminal.Painted(terminal.Faint, fmt.Sprintf("(%d)", n.Agent.History.TLI))
	}
	return terminal.Painted(terminal.Faint, "-")
}

func lagCell(n, primary *topology.Node) terminal.Cell {
	if primary == nil || !n.SQL.OK() || !n.SQL.InRecovery {
		return terminal.Painted(terminal.Faint, "-")
	}
	bytes := primary.SQL.Current.Minus(n.SQL.Replay)
	if bytes == 0 {
		return terminal.Text("0")
	}
	return terminal.Text("%s, %.1fs", humanize.IBytes(bytes), n.SQL.ReplayLagSeconds)
}

func decisionCell(st control.Status, id topology.NodeID) terminal.Cell {
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
			return terminal.Painted(terminal.Green, text)
		case plan.Work:
			return terminal.Painted(terminal.Yellow, text)
		default:
			return terminal.Painted(terminal.Red, text)
		}
	}
	return terminal.Painted(terminal.Faint, "-")
}

// renderPlan prints each node's decision with its evidence and the methods
// that were not chosen.
func renderPlan(w io.Writer, decisions []plan.Decision, colour bool) error {
	var b strings.Builder
	paint := func(c, s string) string {
		if !colour {
			return s
		}
		return c + s + terminal.Plain
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
		colourOf := map[plan.Severity]string{plan.OK: terminal.Green, plan.Work: terminal.Yellow, plan.Refused: terminal.Red}[d.Severity]
		fmt.Fprintf(&b, "node %d: %s (%s)\n  %s\n", d.Node, paint(colourOf, what), d.Code, terminal.Indent(d.Reason, "    "))
		for _, e := range d.Evidence {
			fmt.Fprintf(&b, "  · %s\n", terminal.Indent(e, "    "))
		}
		for _, r := range d.Rejected {
			fmt.Fprintf(&b, "  not %s: %s\n", r.Method, terminal.Indent(r.Why, "    "))
		}
		if d.Action == plan.Resync {
			fmt.Fprintf(&b, "  estimate: %s to copy, about %.1f s", humanize.IBytes(d.Estimate.Bytes), d.Estimate.Seconds)
			if d.Estimate.Basis != "" {
				fmt.Fprintf(&b, " (%s)", d.Estimate.Basis)
			}
			b.WriteString("\n")
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "  → %s\n", terminal.Indent(d.Hint, "    "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
