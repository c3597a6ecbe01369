package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

func newHoldStart(g *globals) *cobra.Command {
	o, limit := agentOptions{}, time.Duration(0)
	c := &cobra.Command{
		Use:   "hold-start",
		Short: "Hold the start of a former primary at boot",
		Long: `What a service manager runs before the PostgreSQL server of this host. A standby
goes through at once. A directory that would start as a primary is held until
repool has made it a standby of the primary that the pool has by then, or until a
person says "repool agent let-start". It asks nobody, and changes nothing.

EXIT STATUS
  0 the server may be started   2 wrong configuration, or not the owner of the data
  5 still held after --for   130 ended by a signal`,
		Example: "  ExecStartPre=/usr/sbin/runuser -u postgres -- /usr/bin/repool agent hold-start",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, log, err := g.ownNode(&o)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			late := errors.New("it is held no longer than that")
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, limit, late)
				defer cancel()
			}
			why, err := app.HoldStart(ctx, p, topology.NodeID(o.node), log, func(why string) {
				fmt.Fprintf(g.err, "repool: the start of node %d is held: %s. It goes on when repool has made the node a standby; "+
					"if no other node is the primary: repool agent let-start\n", o.node, why)
			})
			switch {
			case errors.Is(err, late):
				return exit.With(exit.Unfinished, err, "repool status, on Pgpool-II's host, shows what the node waits for; if no other node is the primary: repool agent let-start")
			case err != nil:
				return err
			}
			fmt.Fprintf(g.err, "repool: node %d may start: %s\n", o.node, why)
			return nil
		},
	}
	c.Flags().IntVar(&o.node, "node", -1, "the node's `id` in pgpool.conf (default: what the agent section of repool.yaml says)")
	c.Flags().DurationVar(&limit, "for", 0, "give up after this `time`, and have the start fail (default: never)")
	return c
}

func newLetStart(g *globals) *cobra.Command {
	o := agentOptions{}
	c := &cobra.Command{
		Use:   "let-start",
		Short: "Let a start go on that is held at boot",
		Long: `Lets the server of this host start as the primary that it was. Only do this when no
other node is the pool's primary, and none is being promoted: two primaries are what
the hold is there to prevent. What the other one has written would be lost to the pool.

EXIT STATUS
  0 the start goes on   2 wrong configuration, or not the owner of the data
  3 no start is held`,
		Example: "  sudo -u postgres repool agent let-start",
		Args:    terminal.Args,
		RunE: func(*cobra.Command, []string) error {
			p, log, err := g.ownNode(&o)
			if err != nil {
				return err
			}
			why, err := app.AllowStart(p, topology.NodeID(o.node), log, who())
			if err != nil {
				return err
			}
			fmt.Fprintf(g.out, "node %d starts. It was held: %s\n", o.node, why)
			return nil
		},
	}
	c.Flags().IntVar(&o.node, "node", -1, "the node's `id` in pgpool.conf (default: what the agent section of repool.yaml says)")
	return c
}

// ownNode reads the configuration of an agent and makes its log.
func (g *globals) ownNode(o *agentOptions) (*config.Pool, *slog.Logger, error) {
	o.socket = config.DefaultAgentSocket // nobody listens, so it need not be given
	p, err := g.agentPool(o)
	if err != nil {
		return nil, nil, err
	}
	log, err := g.log(p.Log.Format)
	return p, log, err
}
