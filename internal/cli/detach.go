package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

type detachOptions struct{ node, why string }

func newDetachCommand(g *globals) *cobra.Command {
	var o detachOptions
	c := &cobra.Command{
		Use:   "detach NODE",
		Short: "Put a standby on hold and have Pgpool-II detach it",
		Long: `Every Pgpool-II stops routing to the standby, and cuts off the sessions that use
it. Its server keeps running. The node stays on hold, or repool would attach it
again; repool attach ends both. A node that anybody considers the primary is
refused, since Pgpool-II would fail over: move the primary first.

EXIT STATUS
  0 detached   2 wrong usage   3 refused, with a code, or detached already
  4 the controller is not running, or a Pgpool-II did not take it`,
		Example:           "  repool detach 2 --why 'new disk'\n  repool attach 2",
		Args:              terminal.Args,
		ValidArgsFunction: g.completeNode(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.node = args[0]
			return g.runDetach(cmd.Context(), o)
		},
	}
	c.Flags().StringVar(&o.why, "why", "", "the `reason`, shown to others")
	return c
}

func (g *globals) runDetach(ctx context.Context, o detachOptions) error {
	node, err := parseNode(o.node)
	if err != nil {
		return err
	}
	err = g.ask(func(c *control.Client) error {
		// The controller judges by its last look, so it must have had one.
		if _, err := firstLook(ctx, c); err != nil {
			return err
		}
		return c.Detach(ctx, control.NodeRequest{Node: node, Who: who(), Why: o.why})
	})
	if err != nil {
		return err
	}
	return g.printAccepted(accepted{Node: node, Asked: "detach", Who: who(), OnHold: true},
		fmt.Sprintf("node %s is detached and on hold: repool attach %s ends both", node, o.node))
}
