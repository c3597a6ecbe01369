package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/terminal"
)

type vaultReportOptions struct{ node, entry string }

func newVaultReportCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "report NODE ENTRY",
		Short: "Print the report of one vault entry as JSON: each lost commit",
		Long: `Prints what is known of each transaction of the entry: its commit time, the
relations it wrote to, and how many rows. A report of more than 64 MiB (some 400,000
commits) is not sent: the message names the file on the node's host.

EXIT STATUS
  0 printed   2 wrong usage   4 the node's agent does not answer, has no such entry, or
  the report is too long to be sent`,
		Example:           "  repool vault report 1 20260501T030201-n1 | jq '.commits | length'",
		ValidArgsFunction: g.completeNode(),
		Args:              terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.runVaultReport(cmd.Context(), vaultReportOptions{node: args[0], entry: args[1]})
		},
	}
}

func (g *globals) runVaultReport(ctx context.Context, o vaultReportOptions) error {
	node, err := parseNode(o.node)
	if err != nil {
		return err
	}
	p, err := g.pool()
	if err != nil {
		return err
	}
	if p.Node(node) == nil {
		return noSuchNode(p, int(node))
	}
	b, err := app.VaultReport(ctx, p, g.quiet(), node, o.entry)
	if err != nil {
		return err
	}
	_, err = g.out.Write(b)
	return err
}
