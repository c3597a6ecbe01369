package chaos

import (
	"context"
	"fmt"
	"github.com/repool/repool/internal/show/event"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// evidenceLines are shown of the history and of Pgpool-II's log after a violation.
const evidenceLines = 60

// chatter begins what Pgpool-II says of every PCP connection (log_pcp_processes
// cannot be turned off before 4.5).
var chatter = []string{"status_changed_time", "forked new pcp worker", "PCP process with pid"}

// evidence prints the last part of what happened, while the controller can still
// be asked. The whole of it stays in the pool's directory.
func (r *run) evidence(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	events, err := r.ctl.History(ctx, event.Filter{Limit: evidenceLines})
	if err != nil {
		r.say("the history cannot be read: %v", err)
	}
	slices.SortFunc(events, func(a, b event.Event) int { return a.At.Compare(b.At) })
	fmt.Fprintf(r.o.Out, "the last %d events of the history:\n", len(events))
	for _, e := range events {
		fmt.Fprintf(r.o.Out, "  %s node %s %s %s: %s\n", e.At.Format("15:04:05.000"), e.Node, e.Kind, e.Code, e.Text)
	}
	b, err := os.ReadFile(filepath.Join(r.lab.Dir, "log", "pgpool.log"))
	if err != nil {
		r.say("Pgpool-II's log cannot be read: %v", err)
	}
	lines := lastLines(string(b), evidenceLines)
	fmt.Fprintf(r.o.Out, "the last %d lines of Pgpool-II's log, without those on PCP:\n", len(lines))
	for _, l := range lines {
		fmt.Fprintf(r.o.Out, "  %s\n", l)
	}
}

// lastLines are the last n lines of Pgpool-II's log that say something.
func lastLines(text string, n int) []string {
	var out []string
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if l != "" && !slices.ContainsFunc(chatter, func(c string) bool { return strings.Contains(l, c) }) {
			out = append(out, l)
		}
	}
	return out[max(0, len(out)-n):]
}
