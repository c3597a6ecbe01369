package crashpoints

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/repool/repool/internal/node/resync"
)

// render makes the table of endings, in the order of the points, as Markdown.
// A complete one names the points that no run passes, too.
func render(endings []ending, complete bool) string {
	order := map[string]int{}
	for i, name := range resync.AllPoints() {
		order[name] = i
	}
	endings = slices.Clone(endings)
	slices.SortStableFunc(endings, func(a, b ending) int { return cmp.Compare(order[a.point], order[b.point]) })
	var out strings.Builder
	out.WriteString("| point | what died | ending | kept |\n|---|---|---|---|\n")
	for _, e := range endings {
		kept := "all"
		if len(e.bad) > 0 {
			kept = "NOT: " + strings.Join(e.bad, "; ")
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", e.point, e.death, e.how, kept)
	}
	if complete {
		for _, name := range resync.AllPoints() {
			if _, reason, _ := wayTo(name); reason != "" {
				fmt.Fprintf(&out, "| %s | | not reached: %s | |\n", name, reason)
			}
		}
	}
	return out.String()
}

// condense makes one line of each step: its parts by how they ended. A death is
// named only where not all deaths at that part ended alike.
func condense(endings []ending) string {
	var out strings.Builder
	out.WriteString("| step | deaths | ended by |\n|---|---|---|\n")
	var steps []string
	of := map[string][]ending{}
	for _, name := range resync.AllPoints() {
		p := parse(name)
		step := p.method + ":" + p.step
		if !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
		for _, e := range endings {
			if e.point == name {
				of[step] = append(of[step], e)
			}
		}
	}
	for _, step := range steps {
		if len(of[step]) > 0 {
			fmt.Fprintf(&out, "| %s | %d | %s |\n", step, len(of[step]), byEnding(of[step]))
		}
	}
	return out.String()
}

// byEnding is "rewind: before, intent; base-backup: marked".
func byEnding(endings []ending) string {
	var hows, parts []string
	at := map[string][]ending{} // by part
	for _, e := range endings {
		part := parse(e.point).part
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
		at[part] = append(at[part], e)
	}
	by := map[string][]string{}
	for _, part := range parts {
		alike := !slices.ContainsFunc(at[part], func(e ending) bool { return e.how != at[part][0].how })
		for i, e := range at[part] {
			name := part
			if !alike {
				name = fmt.Sprintf("%s (%s)", part, e.death)
			} else if i > 0 {
				continue
			}
			how := strings.TrimPrefix(e.how, "attached by ")
			if how == "attached" {
				how = "nothing was left to do"
			}
			if !slices.Contains(hows, how) {
				hows = append(hows, how)
			}
			by[how] = append(by[how], name)
		}
	}
	var out []string
	for _, how := range hows {
		out = append(out, how+": "+strings.Join(by[how], ", "))
	}
	return strings.Join(out, "; ")
}

// distinct counts the points among the endings.
func distinct(endings []ending) int {
	seen := map[string]bool{}
	for _, e := range endings {
		seen[e.point] = true
	}
	return len(seen)
}
