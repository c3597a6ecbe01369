package cli

import (
	"fmt"
	"strings"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

// glyphs are the characters of the picture in text.
type glyphs struct {
	branch, last, open, lastOpen, from, copy, done, todo string
	tone                                                 map[view.Tone]string
	// spell replaces what else a terminal may not have; nil: nothing.
	spell *strings.Replacer
}

var (
	lines = glyphs{"├────", "└────", "├╌╱╌", "└╌╱╌", "◀─", "◀┄", "█", "░", map[view.Tone]string{view.Good: "●", view.Busy: "◐", view.Bad: "◆", view.Quiet: "○"}, nil}
	ascii = glyphs{"+----", "+----", "+-/ -", "+-/ -", "<-", "<..", "#", ".", map[view.Tone]string{view.Good: "*", view.Busy: "~", view.Bad: "!", view.Quiet: "o"},
		strings.NewReplacer("→", "->", "…", "...", "·", "-", "−", "-")}
)

// glyphsFor are lines where the terminal's character set has them.
func glyphsFor(env func(string) string) glyphs {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(env(name)); v != "" {
			if strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8") {
				return lines
			}
			return ascii
		}
	}
	return ascii
}

// barWidth is the length of a run's bar, in characters.
const barWidth = 24

// picture is the page's picture as lines of text: each Pgpool-II, and below it
// the nodes, with an open switch where one is not attached, and who streams
// from whom.
func picture(v view.View, g glyphs, colour bool) []string {
	paint := func(c, text string) string {
		if !colour || c == "" || text == "" {
			return text
		}
		return c + text + terminal.Plain
	}
	out := []string{paint(toneColours[v.Tone], g.tone[v.Tone]) + " " + v.Headline}
	if v.Detail != "" {
		out = append(out, "  "+paint(terminal.Faint, terminal.FirstLine(v.Detail)))
	}
	out = append(out, "")
	for _, p := range v.Pools {
		line := "Pgpool-II " + p.Endpoint
		switch {
		case p.Tone == view.Bad:
			line += "  " + paint(terminal.Red, terminal.FirstLine(p.State))
		case p.Primary == topology.NoNode:
			line += "  " + paint(terminal.Red, "knows no primary")
		default:
			line += "  writes go to node " + p.Primary.String()
		}
		if p.Tone != view.Bad && p.State != "answers" {
			line += ", " + p.State
		}
		out = append(out, line)
	}
	out = append(out, nodeLines(v, g, paint)...)
	if len(v.Alarms) > 0 {
		out = append(out, "")
	}
	for _, a := range v.Alarms {
		out = append(out, paint(toneColours[a.Tone], g.tone[a.Tone]+" "+a.Title)+"  "+terminal.FirstLine(a.Text))
		if a.Do != "" {
			out = append(out, "  → "+terminal.FirstLine(a.Do))
		}
	}
	out = append(out, eventLines(v, paint)...)
	if g.spell != nil {
		for i := range out {
			out[i] = g.spell.Replace(out[i])
		}
	}
	return out
}

// nodeLines are aligned like a table; a run has a line of its own.
func nodeLines(v view.View, g glyphs, paint func(string, string) string) []string {
	rows := make([][]string, len(v.Nodes))
	width := make([]int, 6)
	for i := range v.Nodes {
		n := &v.Nodes[i]
		branch := g.branch
		switch last := i == len(v.Nodes)-1; {
		case n.Attach != view.Attached && last:
			branch = g.lastOpen
		case n.Attach != view.Attached:
			branch = g.open
		case last:
			branch = g.last
		}
		from := ""
		if n.Upstream != topology.NoNode {
			from = g.from + " " + n.Upstream.String()
		} else if n.Run != nil {
			from = g.copy + " " + n.Run.Upstream.String()
		}
		lag := ""
		if n.Lag != "" {
			lag = "lag " + n.Lag
		}
		timeline := ""
		if n.Timeline != "" {
			timeline = "timeline " + n.Timeline
		}
		rows[i] = []string{branch, n.ID.String() + " " + n.Role, n.Address, timeline, from, lag}
		for k, text := range rows[i] {
			width[k] = max(width[k], len([]rune(text)))
		}
	}
	var out []string
	for i := range v.Nodes {
		n := &v.Nodes[i]
		var b strings.Builder
		for k, text := range rows[i] {
			fmt.Fprintf(&b, "%s%s  ", text, strings.Repeat(" ", width[k]-len([]rune(text))))
			if k == 0 {
				b.WriteString(paint(toneColours[n.Tone], g.tone[n.Tone]) + " ")
			}
		}
		b.WriteString(paint(toneColours[n.Tone], n.Doing))
		out = append(out, strings.TrimRight(b.String(), " "))
		if r := n.Run; r != nil {
			out = append(out, "       "+runBar(r, g))
		}
	}
	return out
}

// runBar is one run's progress, with a bar where the bytes are known.
func runBar(r *view.Run, g glyphs) string {
	if !r.Moving {
		return fmt.Sprintf("%s from node %s, step %s, %s so far", r.Method, r.Upstream, r.Step, view.Took(r.Took))
	}
	done := min(barWidth, int(r.Share*barWidth+0.5))
	parts := []string{fmt.Sprintf("%s%s %3d %%", strings.Repeat(g.done, done), strings.Repeat(g.todo, barWidth-done), r.Percent()), r.Done + " of " + r.Total}
	for _, more := range []string{r.Rate, r.Left} {
		if more != "" {
			parts = append(parts, more)
		}
	}
	return strings.Join(parts, "  ")
}

func eventLines(v view.View, paint func(string, string) string) []string {
	if len(v.Events) == 0 {
		return nil
	}
	out := []string{""}
	for _, e := range v.Events {
		out = append(out, fmt.Sprintf("%s  %-7s  %s  %s", e.At.Local().Format("15:04:05"), e.Subject, paint(toneColours[e.Tone], e.Label), e.Text))
	}
	return out
}
