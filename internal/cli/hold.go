package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

type holdOptions struct {
	node   string // or all
	why    string
	length time.Duration // zero: until released
}

func newHoldCommand(g *globals) *cobra.Command {
	var o holdOptions
	c := &cobra.Command{
		Use:   "hold NODE|all",
		Short: "Leave a node, or the whole pool, alone until released",
		Long: `A node on hold is watched and shown, and nothing is done to it: no resync, no
attach, no detach, no fence. A run in progress continues to its end.

The node's agent keeps the hold, and every controller and hook honours it. It may
be given to any controller, also to one that only watches.

EXIT STATUS
  0 held   2 wrong usage   3 no such node, or not kept and this controller only watches
  4 the controller is not running; or held, and only this controller knows of it`,
		Example:           "  repool hold 2 --why 'new disk' --for 2h",
		ValidArgsFunction: g.completeNode(wholePool),
		Args:              terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.node = args[0]
			return g.runHold(cmd.Context(), o)
		},
	}
	c.Flags().StringVar(&o.why, "why", "", "the `reason`, shown to others")
	c.Flags().DurationVar(&o.length, "for", 0, "end the hold after this `time` (default: until released)")
	return c
}

func (g *globals) runHold(ctx context.Context, o holdOptions) error {
	node, err := parseNodeOrAll(o.node)
	if err != nil {
		return err
	}
	if o.length < 0 {
		return exit.New(exit.Usage, "--for: %s is in the past", o.length)
	}
	r := control.HoldRequest{Node: node, Who: who(), Why: o.why}
	until := "until released"
	if o.length > 0 {
		r.Until = time.Now().Add(o.length)
		until = "until " + r.Until.Format(time.DateTime)
	}
	err = g.ask(func(c *control.Client) error { return c.Hold(ctx, r) })
	if err == nil {
		_, err = fmt.Fprintf(g.out, "%s is on hold %s: repool release %s ends it\n", nodeText(node), until, o.node)
	}
	return err
}
