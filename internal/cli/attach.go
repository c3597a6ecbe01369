package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

type attachOptions struct {
	node string
	wait bool
}

func newAttachCommand(g *globals) *cobra.Command {
	var o attachOptions
	c := &cobra.Command{
		Use:   "attach NODE",
		Short: "Have a detached node attached once it is proven",
		Long: `Ends a hold on the node, and gives your consent where policy.methods.attach is
"ask". repool then attaches it through the same checks as any other node: when it
streams from the primary and has replayed, and not before. A node that repool
refuses stays refused, with its code. Nothing is resynced by this.

EXIT STATUS
  0 asked for; with --wait: attached and healthy   2 wrong usage
  3 refused, with a code, or attached already   4 the controller is not running
  5 not finished when interrupted   7 parked, or put on hold, meanwhile`,
		Example:           "  repool attach 2\n  repool attach 2 --wait",
		Args:              terminal.Args,
		ValidArgsFunction: g.completeNode(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.node = args[0]
			return g.runAttach(cmd.Context(), o)
		},
	}
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until the node is attached, and show the progress")
	return c
}

func (g *globals) runAttach(ctx context.Context, o attachOptions) error {
	node, err := parseNode(o.node)
	if err != nil {
		return err
	}
	err = g.ask(func(c *control.Client) error {
		// The controller judges by its last look, so it must have had one.
		if _, err := firstLook(ctx, c); err != nil {
			return err
		}
		if err := c.Attach(ctx, control.NodeRequest{Node: node, Who: who()}); err != nil || !o.wait {
			return err
		}
		return g.waitHealthy(ctx, c, node)
	})
	if err != nil {
		return err
	}
	return g.printAccepted(accepted{Node: node, Asked: "attach", Who: who()},
		fmt.Sprintf("node %s is attached when it has passed every check: repool status shows the progress", node))
}
