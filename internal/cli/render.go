package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

// renderStatus prints a pool: its state in one sentence, a line for each node, the
// Pgpool-IIs, and what is decided about the nodes that are not healthy.
func renderStatus(w io.Writer, v view.View, colour bool) error {
	if _, err := fmt.Fprintf(w, "%s\n\n", terminal.Paint(colour, toneColours[v.Tone], v.Headline)); err != nil {
		return err
	}
	t := &terminal.Table{Head: []string{"NODE", "ADDRESS", "ROLE", "PGPOOL-II", "POSTGRESQL", "TIMELINE", "LAG", "REPOOL"}}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		routed := terminal.Red
		if n.Attach == view.Attached {
			routed = terminal.Green
		}
		health := toneColours[n.Health]
		t.Add(terminal.Text("%d", n.ID), terminal.Text("%s", n.Address), terminal.Painted(health, n.Role),
			terminal.Painted(routed, n.Pgpool), terminal.Painted(health, n.Postgres),
			orDash(n.Timeline), orDash(n.Lag), terminal.Painted(toneColours[n.Tone], n.Doing))
	}
	if err := t.Write(w, colour); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\n")
	for _, p := range v.Pools {
		if p.Err != "" {
			fmt.Fprintf(&b, "%s %s: %s\n", p.Name, p.Note, terminal.Indent(p.Err, "    "))
		} else {
			fmt.Fprintf(&b, "%s: %s\n", p.Name, p.Note)
		}
	}
	if v.Failover != "" {
		fmt.Fprintf(&b, "\n%s (%s)\n  %s\n  → %s\n",
			terminal.Paint(colour, terminal.Red, view.NoFailover), codes.FailoverCommandBroken, v.Failover, view.FailoverHint())
	}
	for i := range v.Work {
		n := &v.Work[i]
		fmt.Fprintf(&b, "\n%s: %s\n", n.Subject, n.Doing)
		if reason := n.Decision.Reason; reason != "" {
			fmt.Fprintf(&b, "  %s\n", terminal.Indent(reason, "    "))
		}
		if n.Run != nil {
			fmt.Fprintf(&b, "  %s\n", n.Run.Line())
		}
		if hint := n.Decision.Hint; hint != "" {
			fmt.Fprintf(&b, "  → %s\n", terminal.Indent(hint, "    "))
		}
	}
	if v.Why != "" {
		fmt.Fprintf(&b, "\n%s: %s\n", view.NotActing, v.Why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func orDash(s string) terminal.Cell {
	if s == "" {
		return terminal.Painted(terminal.Faint, "-")
	}
	return terminal.Text("%s", s)
}

// renderPlan prints each node's decision with its evidence, and why no cheaper
// method was chosen.
func renderPlan(w io.Writer, decisions []plan.Decision, colour bool) error {
	var b strings.Builder
	for i := range decisions {
		d := view.DecisionOf(decisions[i])
		if i > 0 {
			b.WriteString("\n")
		}
		verdict := terminal.Paint(colour, toneColours[d.Tone], d.Verdict)
		fmt.Fprintf(&b, "node %d: %s (%s)\n  %s\n", d.Node, verdict, d.Code, terminal.Indent(d.Reason, "    "))
		for _, e := range d.Evidence {
			fmt.Fprintf(&b, "  · %s\n", terminal.Indent(e, "    "))
		}
		for _, r := range d.Rejected {
			fmt.Fprintf(&b, "  not %s: %s\n", r.Method, terminal.Indent(r.Why, "    "))
		}
		if d.Action == plan.Resync && d.Estimate != "" {
			fmt.Fprintf(&b, "  estimate: %s\n", d.Estimate)
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "  → %s\n", terminal.Indent(d.Hint, "    "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
