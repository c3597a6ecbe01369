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
	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/topology"
)

// kinds are the kinds of events, as history.Event has them.
var kinds = []string{"decision", "run", "attach", "detach", "fence", "hold", "release", "hook", "controller"}

func newHistory(g *globals) *cobra.Command {
	var f history.Filter
	var node int
	var full bool
	var since time.Duration
	c := &cobra.Command{
		Use:   "history",
		Short: "Show what happened: decisions, runs, attaches, holds",
		Long: `Prints the newest events, oldest first. Works without a running controller.

EXIT STATUS
  0 shown   2 wrong usage   4 no history can be read`,
		Example: "  repool history --node 1 --since 12h\n  repool history --kind run --json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.Kind != "" && !slices.Contains(kinds, f.Kind):
				return exit.With(exit.Usage, fmt.Errorf("there is no kind %q", f.Kind), "--kind takes one of "+strings.Join(kinds, ", "))
			case since < 0 || f.Limit < 1 || f.Limit > history.MaxLimit:
				return exit.New(exit.Usage, "--since must not be negative, and --limit must be from 1 to %d", history.MaxLimit)
			}
			p, err := g.pool()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("node") {
				id := topology.NodeID(node)
				if p.Node(id) == nil {
					return noSuchNode(p, node)
				}
				f.Node = &id
			}
			if since > 0 {
				f.Since = time.Now().Add(-since)
			}
			events, err := readHistory(cmd.Context(), p.Controller.Socket, p.Controller.StateDir, f)
			if err != nil {
				return exit.With(exit.Unreachable, err, "the history is in controller.state_dir; repool serve makes it")
			}
			if g.json {
				return printJSON(g.out, events)
			}
			return renderHistory(g.out, events, full, wantsColour(g.out))
		},
	}
	c.Flags().IntVar(&node, "node", 0, "only this node's `id`")
	c.Flags().StringVar(&f.Kind, "kind", "", "only this `kind`: "+strings.Join(kinds, ", "))
	c.Flags().DurationVar(&since, "since", 0, "only this `time` back")
	c.Flags().IntVar(&f.Limit, "limit", 100, "at most this `number`, the newest")
	c.Flags().BoolVar(&full, "full", false, "print texts of several lines in full, such as the end of a server's log")
	return c
}

// renderHistory prints a row for each event, in local time. Of a text with
// several lines, full prints all, below the row.
func renderHistory(w io.Writer, events []history.Event, full, colour bool) error {
	t := &table{head: []string{"TIME", "NODE", "KIND", "CODE", "WHAT"}}
	for _, e := range events {
		n := "pool"
		if e.Node >= 0 {
			n = e.Node.String()
		}
		what := firstLine(e.Text)
		if full {
			what = indent(strings.TrimSpace(e.Text), "    ")
		}
		t.add(txt("%s", e.At.Local().Format("2006-01-02 15:04:05.000")), txt("%s", n), txt("%s", e.Kind), txt("%s", e.Code), txt("%s", what))
	}
	return t.write(w, colour)
}

// readHistory asks the controller, or reads its file where none is running.
func readHistory(ctx context.Context, socket, stateDir string, f history.Filter) ([]history.Event, error) {
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
	return exit.With(exit.Usage, fmt.Errorf("there is no node %d in %s", id, p.PgpoolConf), "its nodes are "+strings.Join(have, ", "))
}
