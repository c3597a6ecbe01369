package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

type resyncOptions struct {
	node   string
	method string // empty: the one that repool has chosen
	// Without yes, and with dryRun, the decision is only shown.
	yes, dryRun, noWait bool
}

func newResyncCommand(g *globals) *cobra.Command {
	var o resyncOptions
	c := &cobra.Command{
		Use:   "resync NODE",
		Short: "Resync a node now, with your consent to the method shown",
		Long: `Shows what would be done to the node. With --yes it gives repool your consent,
which ends a parking and allows a method that the policy only does when asked,
and waits until the node is attached, with a progress bar on a terminal. It cannot
override a safety check.

EXIT STATUS
  0 healthy, or the plan was shown   2 wrong usage   3 refused, with a code
  4 the controller is not running   5 not finished when interrupted   7 on hold`,
		Example: "  repool resync 2 --dry-run\n  repool resync 2 --yes\n" +
			"  repool resync 2 --yes --method base-backup",
		ValidArgsFunction: g.completeNode(),
		Args:              terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.node = args[0]
			return g.runResync(cmd.Context(), o)
		},
	}
	c.Flags().BoolVar(&o.yes, "yes", false, "do it")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only show what would be done")
	c.Flags().BoolVar(&o.noWait, "no-wait", false, "return at once")
	c.Flags().StringVar(&o.method, "method", "",
		"consent to this `method` only (start, follow, adopt, rewind, base-backup)")
	return c
}

func (g *globals) runResync(ctx context.Context, o resyncOptions) error {
	node, err := parseNode(o.node)
	if err != nil {
		return err
	}
	if err := knownMethod(o.method); err != nil {
		return err
	}
	return g.ask(func(c *control.Client) error {
		if err := g.showDecision(ctx, c, node); err != nil || o.dryRun {
			return err
		}
		if !o.yes {
			fmt.Fprintln(g.err, "nothing was done; add --yes to do it")
			return nil
		}
		err := c.ResyncWith(ctx, control.ResyncRequest{Node: node, Method: topology.Method(o.method), Who: who()})
		if err != nil || o.noWait {
			return err
		}
		if st, err := c.Status(ctx); err == nil && !st.Acting {
			fmt.Fprintln(g.err, "this controller does not act: the node keeps your consent, and the one that acts follows it")
			return nil
		}
		return g.waitHealthy(ctx, c, node)
	})
}

// showDecision prints what the controller has decided for one node.
func (g *globals) showDecision(ctx context.Context, c *control.Client, node topology.NodeID) error {
	st, err := firstLook(ctx, c)
	if err != nil {
		return err
	}
	d := decisionOf(st, node)
	switch {
	case d == nil && len(st.Decisions) > 0:
		return exit.With(exit.Refused, fmt.Errorf("there is no node %d in pgpool.conf", node),
			"repool status lists the nodes")
	case d == nil:
		return exit.With(exit.Unreachable, errors.New("the controller has not looked at the pool yet"),
			"try again in a moment")
	case g.json:
		return terminal.PrintJSON(g.out, *d)
	}
	return renderPlan(g.out, []plan.Decision{*d}, terminal.WantsColour(g.out))
}

// knownMethod refuses an unknown --method.
func knownMethod(m string) error {
	if m == "" || slices.Contains(topology.Methods, topology.Method(m)) {
		return nil
	}
	var names []string
	for _, k := range topology.Methods {
		names = append(names, string(k))
	}
	return exit.With(exit.Usage, fmt.Errorf("there is no method %q", m),
		"--method takes one of "+strings.Join(names, ", "))
}
