package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/history"
	"github.com/repool/repool/internal/terminal"
)

// kinds are the kinds of events, as event.Event has them.
var kinds = []string{"decision", "run", "attach", "detach", "fence", "slots", "hold", "release", "hook",
	"recovery", "controller"}

type historyOptions struct {
	filter event.Filter // without Node, Since and Until, which follow
	node   int          // -1: all nodes, and the pool
	since  string       // as parseWhen reads it
	until  string
	full   bool
}

func newHistoryCommand(g *globals) *cobra.Command {
	var o historyOptions
	c := &cobra.Command{
		Use:   "history",
		Short: "Show what happened: decisions, runs, attaches, holds",
		Long: `Prints the newest events that match, oldest first. Works without a running
controller. repool history show RUN tells one failure as a story; the runs' names
are in the output of --kind run --json, and last is the newest.

EXIT STATUS
  0 shown   2 wrong usage   4 no history can be read`,
		Example: "  repool history --node 1 --since 12h\n" +
			"  repool history --code parked --since 2026-05-01 --until 2026-05-08\n" +
			"  repool history --kind run --json\n  repool history show last",
		Args: terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runHistory(cmd.Context(), o) },
	}
	f := c.Flags()
	f.IntVar(&o.node, "node", -1, "only this node's `id` (default: all)")
	f.StringVar(&o.filter.Kind, "kind", "", "only this `kind`: "+strings.Join(kinds, ", "))
	f.StringVar(&o.filter.Code, "code", "", "only this `code`, such as parked or diverged")
	f.StringVar(&o.since, "since", "", "from this `time` on: so long ago (12h), or a time (2026-05-01 20:15)")
	f.StringVar(&o.until, "until", "", "before this `time`, as --since")
	f.IntVar(&o.filter.Limit, "limit", 100, "at most this `number`, the newest")
	f.BoolVar(&o.full, "full", false, "print texts of several lines in full, such as the end of a server's log")
	c.AddCommand(newHistoryShowCommand(g))
	return c
}

func (g *globals) runHistory(ctx context.Context, o historyOptions) error {
	f, now := o.filter, time.Now()
	var err error
	switch {
	case f.Kind != "" && !slices.Contains(kinds, f.Kind):
		return exit.With(exit.Usage, fmt.Errorf("there is no kind %q", f.Kind),
			"--kind takes one of "+strings.Join(kinds, ", "))
	case f.Limit < 1 || f.Limit > event.MaxLimit:
		return exit.New(exit.Usage, "--limit must be from 1 to %d", event.MaxLimit)
	}
	if f.Since, err = parseWhen("--since", o.since, now); err != nil {
		return err
	}
	if f.Until, err = parseWhen("--until", o.until, now); err != nil {
		return err
	}
	p, err := g.pool()
	if err != nil {
		return err
	}
	if o.node != -1 {
		id := topology.NodeID(o.node)
		if p.Node(id) == nil {
			return noSuchNode(p, o.node)
		}
		f.Node = &id
	}
	events, err := readHistory(ctx, p.Controller.Socket, p.Controller.StateDir, f)
	if err != nil {
		return exit.With(exit.Unreachable, err, noHistoryHint)
	}
	if g.json {
		return terminal.PrintJSON(g.out, events)
	}
	return renderHistory(g.out, events, o.full, terminal.WantsColour(g.out))
}

const noHistoryHint = "the history is in controller.state_dir; repool serve makes it"

var timeLayouts = []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04",
	"2006-01-02T15:04", time.DateOnly}

// parseWhen reads how long ago something was, or a time in this machine's zone.
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, exit.With(exit.Usage, fmt.Errorf("%s: %q is neither a duration such as 12h nor a time",
		flag, text),
		"write 90m, 2026-05-01, or '2026-05-01 20:15'")
}

// renderHistory prints a row for each event, in local time. Of a text with
// several lines, full prints all, below the row.
func renderHistory(w io.Writer, events []event.Event, full, colour bool) error {
	t := &terminal.Table{Head: []string{"TIME", "NODE", "KIND", "CODE", "WHAT"}}
	for _, e := range events {
		n := "pool"
		if e.Node >= 0 {
			n = e.Node.String()
		}
		what := terminal.FirstLine(e.Text)
		if full {
			what = terminal.Indent(strings.TrimSpace(e.Text), "    ")
		}
		t.Add(terminal.Text("%s", e.At.Local().Format("2006-01-02 15:04:05.000")), terminal.Text("%s", n),
			terminal.Text("%s", e.Kind), terminal.Text("%s", e.Code), terminal.Text("%s", what))
	}
	return t.Write(w, colour)
}

// readHistory asks the controller, or reads its file where none is running.
func readHistory(ctx context.Context, socket, stateDir string, f event.Filter) ([]event.Event, error) {
	events, err := control.NewClient(socket).History(ctx, f)
	if !errors.Is(err, control.ErrNotRunning) {
		return events, err
	}
	s, err := history.OpenReadOnly(stateDir)
	if err != nil {
		return nil, err
	}
	events, err = s.List(ctx, f)
	return events, errors.Join(err, s.Close())
}

// noSuchNode is the error for the number of a node that pgpool.conf does not have.
func noSuchNode(p *config.Pool, id int) error {
	var have []string
	for _, n := range p.Nodes {
		have = append(have, n.ID.String())
	}
	return exit.With(exit.Usage, fmt.Errorf("there is no node %d in %s", id, p.PgpoolConf),
		"its nodes are "+strings.Join(have, ", "))
}
