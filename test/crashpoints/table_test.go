package crashpoints

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/repool/repool/internal/resync"
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

// distinct counts the points among the endings.
func distinct(endings []ending) int {
	seen := map[string]bool{}
	for _, e := range endings {
		seen[e.point] = true
	}
	return len(seen)
}
