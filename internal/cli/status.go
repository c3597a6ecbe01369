package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

type statusOptions struct{ fail, watch bool }

func newStatusCommand(g *globals) *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show each node: Pgpool-II's view, PostgreSQL's, and what repool does about it",
		Long: `Shows the controller's latest look at the pool. Without a running controller
it looks once by itself, changes nothing, and says so.

With --watch it draws the pool as a picture, with the runs in progress, and keeps it
up to date until interrupted: in place on a terminal, elsewhere one block of text (or
with --json one line) for each change.

EXIT STATUS
  0 shown   2 wrong configuration   4 with --watch: no controller is running
  6 with --fail: a node is not healthy`,
		Example: "  repool status\n  repool status --watch\n  repool status --json | jq '.decisions[] | {node, code}'",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.runStatus(cmd.Context(), o) },
	}
	c.Flags().BoolVar(&o.fail, "fail", false, "exit 6 unless every node is healthy")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "keep showing, until interrupted")
	return c
}

func (g *globals) runStatus(ctx context.Context, o statusOptions) error {
	if o.fail && o.watch {
		return exit.New(exit.Usage, "--fail and --watch exclude each other")
	}
	p, err := g.pool()
	if err != nil {
		return err
	}
	if o.watch {
		return g.watch(ctx, p)
	}
	st, err := g.state(ctx, p)
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
		if o.fail && d.Severity != codes.OK {
			return exit.New(exit.Problems, "node %d is not healthy: %s", d.Node, d.Code)
		}
	}
	return nil
}

// state is the controller's latest status, or one look of our own.
func (g *globals) state(ctx context.Context, p *config.Pool) (control.Status, error) {
	st, err := firstLook(ctx, control.NewClient(p.Controller.Socket))
	if err == nil || !errors.Is(err, control.ErrNotRunning) {
		return st, exit.With(exit.Unreachable, err)
	}
	return app.Look(ctx, p, g.quiet())
}
