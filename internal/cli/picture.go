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
	// spell replaces other characters that a terminal may lack; nil: nothing.
	spell *strings.Replacer
}

var (
	lines = glyphs{branch: "├────", last: "└────", open: "├╌╱╌", lastOpen: "└╌╱╌",
		from: "◀─", copy: "◀┄", done: "█", todo: "░",
		tone: map[view.Tone]string{view.Good: "●", view.Busy: "◐", view.Bad: "◆", view.Quiet: "○"}}
	ascii = glyphs{branch: "+----", last: "+----", open: "+-/ -", lastOpen: "+-/ -", from: "<-", copy: "<..", done: "#",
		todo:  ".",
		tone:  map[view.Tone]string{view.Good: "*", view.Busy: "~", view.Bad: "!", view.Quiet: "o"},
		spell: strings.NewReplacer("→", "->", "…", "...", "·", "-", "−", "-")}
)

// glyphsFor gives line-drawing characters where the terminal's character set has them.
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
	out := []string{terminal.Paint(colour, toneColours[v.Tone], g.tone[v.Tone]) + " " + v.Headline}
	if v.Detail != "" {
		out = append(out, "  "+terminal.Paint(colour, terminal.Faint, v.Detail))
	}
	out = append(out, "")
	for _, p := range v.Pools {
		line := p.Note
		if p.Err != "" {
			line += ": " + terminal.FirstLine(p.Err)
		}
		if p.Tone == view.Bad || p.Tone == view.Busy {
			line = terminal.Paint(colour, terminal.Red, line)
		}
		out = append(out, p.Name+"  "+line)
	}
	out = append(out, nodeLines(v, g, colour)...)
	if len(v.Alarms) > 0 {
		out = append(out, "")
	}
	for _, a := range v.Alarms {
		out = append(out, terminal.Paint(colour, toneColours[a.Tone], g.tone[a.Tone]+" "+a.Title)+"  "+
			terminal.FirstLine(a.Text))
		if a.Do != "" {
			out = append(out, "  → "+terminal.FirstLine(a.Do))
		}
	}
	out = append(out, eventLines(v, colour)...)
	if g.spell != nil {
		for i := range out {
			out[i] = g.spell.Replace(out[i])
		}
	}
	return out
}

// nodeLines are aligned like a table; a run has a line of its own below its node.
func nodeLines(v view.View, g glyphs, colour bool) []string {
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
				b.WriteString(terminal.Paint(colour, toneColours[n.Tone], g.tone[n.Tone]) + " ")
			}
		}
		b.WriteString(terminal.Paint(colour, toneColours[n.Tone], n.Doing))
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
		return r.Line()
	}
	done := min(barWidth, int(r.Share*barWidth+0.5))
	bar := strings.Repeat(g.done, done) + strings.Repeat(g.todo, barWidth-done)
	parts := []string{fmt.Sprintf("%s %3d%%", bar, r.Percent()), r.Done + " of " + r.Total}
	for _, more := range []string{r.Rate, r.Left} {
		if more != "" {
			parts = append(parts, more)
		}
	}
	return strings.Join(parts, "  ")
}

func eventLines(v view.View, colour bool) []string {
	if len(v.Events) == 0 {
		return nil
	}
	out := []string{""}
	for _, e := range v.Events {
		what := terminal.Paint(colour, toneColours[e.Tone], e.Label)
		out = append(out, fmt.Sprintf("%s  %-7s  %s  %s", e.At.Local().Format("15:04:05"), e.Subject, what, e.Text))
	}
	return out
}
