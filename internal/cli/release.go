package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

func newReleaseCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "release NODE|all",
		Short: "End the hold or the parking of a node",
		Long: `Ends a hold, and lets repool try again on a node that it has parked.

EXIT STATUS
  0 released   2 wrong usage   3 no such node, or its agent keeps a hold and is away
  4 the controller is not running`,
		Example:           "  repool release 2",
		ValidArgsFunction: g.completeNode(wholePool),
		Args:              terminal.Args,
		RunE:              func(cmd *cobra.Command, args []string) error { return g.runRelease(cmd.Context(), args[0]) },
	}
}

func (g *globals) runRelease(ctx context.Context, name string) error {
	node, err := parseNodeOrAll(name)
	if err != nil {
		return err
	}
	err = g.ask(func(c *control.Client) error { return c.Release(ctx, node, who()) })
	if err == nil {
		_, err = fmt.Fprintf(g.out, "%s is released\n", nodeText(node))
	}
	return err
}
