package cli

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
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
		Example: "  repool hold 2 --why 'new disk' --for 2h",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := parseNode(args[0], true)
			if err != nil {
				return err
			}
			r := control.HoldRequest{Node: node, Who: who(), Why: why}
			if length > 0 {
				r.Until = time.Now().Add(length)
			}
			return g.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error { return c.Hold(ctx, r) })
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
		Example: "  repool release 2",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := parseNode(args[0], true)
			if err != nil {
				return err
			}
			return g.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error { return c.Release(ctx, node, who()) })
		},
	}
}

func newResync(g *globals) *cobra.Command {
	var method string
	var yes, dryRun, noWait bool
	c := &cobra.Command{
		Use:   "resync NODE",
		Short: "Resync a node now, with your consent to the method shown",
		Long: `Shows what would be done to the node. With --yes it gives repool your consent,
which ends a parking and allows a method that the policy only does when asked,
and waits until the node is attached. It cannot override a safety check.

EXIT STATUS
  0 healthy, or the plan was shown   2 wrong usage   3 refused, with a code
  4 the controller is not running   5 not finished when interrupted   7 on hold`,
		Example: "  repool resync 2 --dry-run\n  repool resync 2 --yes\n  repool resync 2 --yes --method base-backup",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := parseNode(args[0], false)
			if err != nil {
				return err
			}
			return g.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				st, err := c.Status(ctx)
				if err != nil {
					return err
				}
				d := decisionOf(st, node)
				if d == nil {
					return exit.New(exit.Refused, "there is no node %d", node)
				}
				if err := renderPlan(g.out, []plan.Decision{*d}, isTerminal(g.out)); err != nil {
					return err
				}
				if dryRun || !yes {
					if !dryRun {
						fmt.Fprintln(g.err, "nothing was done; add --yes to do it")
					}
					return nil
				}
				if err := c.ResyncWith(ctx, control.ResyncRequest{Node: node, Method: topology.Method(method), Who: who()}); err != nil {
					return err
				}
				if noWait {
					return nil
				}
				return g.waitHealthy(ctx, c, node)
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be done")
	c.Flags().BoolVar(&noWait, "no-wait", false, "return at once")
	c.Flags().StringVar(&method, "method", "", "consent to this `method` only (start, follow, adopt, rewind, base-backup)")
	return c
}

// waitHealthy follows a node until it is healthy or refused for good.
func (g *globals) waitHealthy(ctx context.Context, c *control.Client, node topology.NodeID) error {
	told, refused := "", 0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return exit.New(exit.Unfinished, "stopped waiting; the resync goes on: see repool status")
		case <-tick.C:
		}
		st, err := c.Status(ctx)
		if err != nil {
			return err
		}
		d := decisionOf(st, node)
		if d == nil {
			continue
		}
		line := fmt.Sprintf("node %d: %s (%s)", node, d.Reason, d.Code)
		if n := st.Snapshot.Node(node); n != nil && n.Agent.Run != nil && !n.Agent.Run.Outcome.Ended() {
			line = "node " + node.String() + ": " + runLine(*n.Agent.Run, time.Now())
		}
		if line != told {
			told = line
			fmt.Fprintln(g.err, line)
		}
		switch {
		case d.Severity == plan.OK:
			return nil
		case d.Severity == plan.Refused:
			if refused++; refused > 6 {
				code := exit.Refused
				if d.Code == plan.CodeOnHold {
					code = exit.Parked
				}
				return exit.With(code, fmt.Errorf("%s (%s)", d.Reason, d.Code), d.Hint)
			}
		default:
			refused = 0
		}
	}
}

func decisionOf(st control.Status, node topology.NodeID) *plan.Decision {
	for i := range st.Decisions {
		if st.Decisions[i].Node == node {
			return &st.Decisions[i]
		}
	}
	return nil
}

func newHistory(g *globals) *cobra.Command {
	var f history.Filter
	var node int
	var since time.Duration
	c := &cobra.Command{
		Use:   "history",
		Short: "Show what happened: decisions, runs, attaches, holds",
		Long: `Prints the newest events, oldest first. Works without a running controller.

EXIT STATUS
  0 shown   2 wrong usage   4 no history can be read`,
		Example: "  repool history --node 1 --since 12h\n  repool history --kind run --json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := g.pool()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("node") {
				id := topology.NodeID(node)
				f.Node = &id
			}
			if since > 0 {
				f.Since = time.Now().Add(-since)
			}
			events, err := readHistory(cmd.Context(), p.Controller.Socket, p.Controller.StateDir, f)
			if err != nil {
				return exit.With(exit.Unreachable, err)
			}
			if g.json {
				return printJSON(g.out, events)
			}
			t := &table{head: []string{"TIME", "NODE", "KIND", "CODE", "WHAT"}}
			for _, e := range events {
				n := "pool"
				if e.Node >= 0 {
					n = e.Node.String()
				}
				t.add(txt("%s", e.At.Format("2006-01-02 15:04:05.000")), txt("%s", n), txt("%s", e.Kind), txt("%s", e.Code), txt("%s", e.Text))
			}
			return t.write(g.out, isTerminal(g.out))
		},
	}
	c.Flags().IntVar(&node, "node", 0, "only this node's `id`")
	c.Flags().StringVar(&f.Kind, "kind", "", "only this `kind`: decision, run, attach, detach, fence, hold, release, hook")
	c.Flags().DurationVar(&since, "since", 0, "only this `time` back")
	c.Flags().IntVar(&f.Limit, "limit", 100, "at most this `number`")
	return c
}

// readHistory asks the controller, or reads its file where none is running.
func readHistory(ctx context.Context, socket, stateDir string, f history.Filter) ([]history.Event, error) {
	events, err := control.NewClient(socket).History(ctx, f)
	if !errors.Is(err, control.ErrNotRunning) {
		return events, err
	}
	s, err := history.OpenReadOnly(stateDir)
	if err != nil {
		return nil, err
	}
	events, err = s.List(ctx, f)
	return events, errors.Join(err, s.Close())
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
