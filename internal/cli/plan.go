package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/terminal"
)

func newPlanCommand(g *globals) *cobra.Command {
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
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.runPlan(cmd.Context()) },
	}
}

func (g *globals) runPlan(ctx context.Context) error {
	p, err := g.pool()
	if err != nil {
		return err
	}
	st, err := g.state(ctx, p)
	if err != nil {
		return err
	}
	if g.json {
		return terminal.PrintJSON(g.out, st.Decisions)
	}
	return renderPlan(g.out, st.Decisions, terminal.WantsColour(g.out))
}
