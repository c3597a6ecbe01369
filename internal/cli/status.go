package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

func newStatus(g *globals) *cobra.Command {
	var fail, watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show each node: Pgpool-II's view, PostgreSQL's, and what repool does about it",
		Long: `Shows the controller's newest look at the pool. Without a running controller
it looks once by itself, changes nothing, and says so.

With --watch it draws the pool as a picture, with the runs under way, and keeps it
fresh until interrupted: in place on a terminal, elsewhere one block of text (or
with --json one line) for each change.

EXIT STATUS
  0 shown   2 wrong configuration   4 with --watch: no controller is running
  6 with --fail: a node is not healthy`,
		Example: "  repool status\n  repool status --watch\n  repool status --json | jq '.decisions[] | {node, code}'",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := g.pool()
			if err != nil {
				return err
			}
			if watch {
				return g.watch(cmd.Context(), p)
			}
			st, err := g.state(cmd.Context(), p)
			if err != nil {
				return err
			}
			report := view.ReportOf(st, time.Now())
			if g.json {
				err = terminal.PrintJSON(g.out, report)
			} else {
				err = renderStatus(g.out, report.View, terminal.WantsColour(g.out))
			}
			if err != nil {
				return err
			}
			for _, d := range st.Decisions {
				if fail && d.Severity != plan.OK {
					return exit.New(exit.Problems, "node %d is not healthy: %s", d.Node, d.Code)
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&fail, "fail", false, "exit 6 unless every node is healthy")
	c.Flags().BoolVarP(&watch, "watch", "w", false, "keep showing, until interrupted")
	c.MarkFlagsMutuallyExclusive("fail", "watch")
	return c
}

func newPlan(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "plan",
		Short: "Say what would be done to each node, and why, without doing it",
		Long: `Looks at the pool and prints, for each node, the decision, the evidence it
rests on, why no cheaper method was chosen, and what it would cost. Touches
nothing.

EXIT STATUS
  0 shown   2 wrong configuration`,
		Example: "  repool plan\n  repool plan --json | jq '.[] | {node, method, reason, estimate}'",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := g.pool()
			if err != nil {
				return err
			}
			st, err := g.state(cmd.Context(), p)
			if err != nil {
				return err
			}
			if g.json {
				return terminal.PrintJSON(g.out, st.Decisions)
			}
			return renderPlan(g.out, st.Decisions, terminal.WantsColour(g.out))
		},
	}
}

// state is the controller's newest status, or one look of our own.
func (g *globals) state(ctx context.Context, p *config.Pool) (control.Status, error) {
	st, err := firstLook(ctx, control.NewClient(p.Controller.Socket))
	if err == nil || !errors.Is(err, control.ErrNotRunning) {
		return st, exit.With(exit.Unreachable, err)
	}
	return app.Look(ctx, p, g.quiet())
}
