package cli

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

func newHold(g *globals) *cobra.Command {
	var why string
	var length time.Duration
	c := &cobra.Command{
		Use:   "hold NODE|all",
		Short: "Leave a node, or the whole pool, alone until released",
		Long: `A node on hold is watched and shown, and nothing is done to it: no resync, no
attach, no detach, no fence. A run that is in progress goes on to its end.

EXIT STATUS
  0 held   2 wrong usage   3 no such node   4 the controller is not running`,
		Example:           "  repool hold 2 --why 'new disk' --for 2h",
		ValidArgsFunction: g.completeNodes(true),
		Args:              terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := parseNode(args[0], true)
			if err != nil {
				return err
			}
			if length < 0 {
				return exit.New(exit.Usage, "--for %s lies in the past", length)
			}
			r := control.HoldRequest{Node: node, Who: who(), Why: why}
			until := "until released"
			if length > 0 {
				r.Until = time.Now().Add(length)
				until = "until " + r.Until.Format(time.DateTime)
			}
			err = g.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error { return c.Hold(ctx, r) })
			if err == nil {
				_, err = fmt.Fprintf(g.out, "%s is on hold %s: repool release %s ends it\n", nodeText(node), until, args[0])
			}
			return err
		},
	}
	c.Flags().StringVar(&why, "why", "", "the `reason`, shown to others")
	c.Flags().DurationVar(&length, "for", 0, "end the hold by itself after this `time` (default: until released)")
	return c
}

func newRelease(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "release NODE|all",
		Short: "End the hold or the parking of a node",
		Long: `Ends an operator's hold, and lets repool try again on a node it has parked.

EXIT STATUS
  0 released   2 wrong usage   3 no such node   4 the controller is not running`,
		Example:           "  repool release 2",
		ValidArgsFunction: g.completeNodes(true),
		Args:              terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := parseNode(args[0], true)
			if err != nil {
				return err
			}
			err = g.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error { return c.Release(ctx, node, who()) })
			if err == nil {
				_, err = fmt.Fprintf(g.out, "%s is released\n", nodeText(node))
			}
			return err
		},
	}
}

func newResync(g *globals) *cobra.Command {
	var method string
	var yes, dryRun, wait, noWait bool
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
		Example:           "  repool resync 2 --dry-run\n  repool resync 2 --yes\n  repool resync 2 --yes --method base-backup",
		ValidArgsFunction: g.completeNodes(false),
		Args:              terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := parseNode(args[0], false)
			if err != nil {
				return err
			}
			if err := knownMethod(method); err != nil {
				return err
			}
			return g.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				if err := g.showDecision(ctx, c, node); err != nil {
					return err
				}
				if dryRun {
					return nil
				}
				if !yes {
					fmt.Fprintln(g.err, "nothing was done; add --yes to do it")
					return nil
				}
				if err := c.ResyncWith(ctx, control.ResyncRequest{Node: node, Method: topology.Method(method), Who: who()}); err != nil {
					return err
				}
				if noWait || !wait {
					return nil
				}
				return g.waitHealthy(ctx, c, node)
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be done")
	c.Flags().BoolVar(&wait, "wait", true, "wait until the node is attached, and show how far it is")
	c.Flags().BoolVar(&noWait, "no-wait", false, "return at once")
	c.Flags().StringVar(&method, "method", "", "consent to this `method` only (start, follow, adopt, rewind, base-backup)")
	return c
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
		return exit.With(exit.Refused, fmt.Errorf("there is no node %d in pgpool.conf", node), "repool status lists the nodes")
	case d == nil:
		return exit.With(exit.Unreachable, errors.New("the controller has not looked at the pool yet"), "try again in a moment")
	case g.json:
		return terminal.PrintJSON(g.out, *d)
	}
	return renderPlan(g.out, []plan.Decision{*d}, terminal.WantsColour(g.out))
}

// firstLook is the controller's status; of one that has just begun, after its
// first look at the pool, for which it has ten seconds.
func firstLook(ctx context.Context, c *control.Client) (control.Status, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(10 * time.Second); ; {
		st, err := c.Status(ctx)
		if err != nil || len(st.Decisions) > 0 || time.Now().After(until) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-tick.C:
		}
	}
}

// knownMethod refuses a word for --method that names none.
func knownMethod(m string) error {
	if m == "" || slices.Contains(topology.Methods, topology.Method(m)) {
		return nil
	}
	var names []string
	for _, k := range topology.Methods {
		names = append(names, string(k))
	}
	return exit.With(exit.Usage, fmt.Errorf("there is no method %q", m), "--method takes one of "+strings.Join(names, ", "))
}

func nodeText(id topology.NodeID) string {
	if id == topology.NoNode {
		return "the pool"
	}
	return "node " + id.String()
}

func decisionOf(st control.Status, node topology.NodeID) *plan.Decision {
	for i := range st.Decisions {
		if st.Decisions[i].Node == node {
			return &st.Decisions[i]
		}
	}
	return nil
}

// ask runs f with a client and gives its errors the right status.
func (g *globals) ask(ctx context.Context, f func(context.Context, *control.Client) error) error {
	p, err := g.pool()
	if err != nil {
		return err
	}
	err = f(ctx, control.NewClient(p.Controller.Socket))
	var re *control.RefusedError
	var ee *exit.Error
	switch {
	case err == nil || errors.As(err, &ee):
		return err
	case errors.As(err, &re):
		return exit.With(exit.Refused, fmt.Errorf("%w (%s)", re, re.Code), re.Hint)
	default:
		return exit.With(exit.Unreachable, err)
	}
}

func parseNode(s string, orAll bool) (topology.NodeID, error) {
	if orAll && s == "all" {
		return topology.NoNode, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, exit.New(exit.Usage, "%q is no node: give the number that pgpool.conf gives it, such as 0 for backend_hostname0", s)
	}
	return topology.NodeID(n), nil
}

func who() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
