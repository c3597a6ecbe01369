package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

// asked is the JSON of a request that the controller has taken.
type asked struct {
	Node  topology.NodeID `json:"node"`
	Asked string          `json:"asked"` // attach or detach
	Who   string          `json:"who"`
	// OnHold: the node is on hold now, until released.
	OnHold bool `json:"on_hold"`
}

func newAttach(g *globals) *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "attach NODE",
		Short: "Have a detached node attached once it is proven",
		Long: `Ends a hold on the node, and gives your consent where policy.methods.attach is
"ask". The attach itself is repool's, through the same gate as any other: the node is
attached when it streams from the primary and has replayed, and not before. A node
that repool refuses stays refused, with its code. Nothing is resynced by this.

EXIT STATUS
  0 asked for; with --wait: attached and healthy   2 wrong usage
  3 refused, with a code, or attached already   4 the controller is not running
  5 not finished when interrupted   7 parked, or put on hold, meanwhile`,
		Example:           "  repool attach 2\n  repool attach 2 --wait",
		Args:              terminal.Args,
		ValidArgsFunction: g.completeNodes(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.askForNode(cmd.Context(), args[0], "attach", func(ctx context.Context, c *control.Client, node topology.NodeID) error {
				if err := c.Attach(ctx, control.NodeRequest{Node: node, Who: who()}); err != nil || !wait {
					return err
				}
				return g.waitHealthy(ctx, c, node)
			})
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until the node is attached, and show how far it is")
	return c
}

func newDetach(g *globals) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use:   "detach NODE",
		Short: "Put a standby on hold and have Pgpool-II detach it",
		Long: `Every Pgpool-II stops routing to the standby, and cuts off the sessions that use
it now. Its server runs on. The node is on hold from then on, or repool would attach
it again; repool attach ends both. Whatever may be the primary, by anybody's opinion,
is refused, since Pgpool-II would fail over: move the primary first.

EXIT STATUS
  0 detached   2 wrong usage   3 refused, with a code, or detached already
  4 the controller is not running, or a Pgpool-II did not take it`,
		Example:           "  repool detach 2 --why 'new disk'\n  repool attach 2",
		Args:              terminal.Args,
		ValidArgsFunction: g.completeNodes(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.askForNode(cmd.Context(), args[0], "detach", func(ctx context.Context, c *control.Client, node topology.NodeID) error {
				return c.Detach(ctx, control.NodeRequest{Node: node, Who: who(), Why: why})
			})
		},
	}
	c.Flags().StringVar(&why, "why", "", "the `reason`, shown to others")
	return c
}

// askForNode asks the controller for something about the node of that name, and
// says what it has taken.
func (g *globals) askForNode(ctx context.Context, name, what string, ask func(context.Context, *control.Client, topology.NodeID) error) error {
	node, err := parseNode(name, false)
	if err != nil {
		return err
	}
	err = g.ask(ctx, func(ctx context.Context, c *control.Client) error {
		// The controller's answer is of its last look, so it must have had one.
		if _, err := firstLook(ctx, c); err != nil {
			return err
		}
		return ask(ctx, c, node)
	})
	switch {
	case err != nil:
		return err
	case g.json:
		return terminal.PrintJSON(g.out, asked{Node: node, Asked: what, Who: who(), OnHold: what == "detach"})
	case what == "detach":
		_, err = fmt.Fprintf(g.out, "node %s is detached and on hold: repool attach %s ends both\n", node, name)
	default:
		_, err = fmt.Fprintf(g.out, "node %s is attached when it has passed every check: repool status shows how far it is\n", node)
	}
	return err
}

// completeNodes completes the node of a command, and "all" where it takes that.
func (g *globals) completeNodes(orAll bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		p, err := g.pool()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // the command itself says what is wrong with it
		}
		for i := range p.Nodes {
			n := &p.Nodes[i]
			out = append(out, cobra.CompletionWithDesc(n.ID.String(), fmt.Sprintf("%s:%d", n.Host, n.Port)))
		}
		if orAll {
			out = append(out, cobra.CompletionWithDesc("all", "the whole pool"))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
