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

type holdStartOptions struct {
	agent agentOptions
	limit time.Duration // zero: none
}

func newHoldStartCommand(g *globals) *cobra.Command {
	var o holdStartOptions
	c := &cobra.Command{
		Use:   "hold-start",
		Short: "Hold the start of a former primary at boot",
		Long: `What a service manager runs before the PostgreSQL server of this host. A standby
may start at once. A directory that would start as a primary is held until repool
has made it a standby of the pool's current primary, or until a person runs
"repool agent allow-start". It only looks at the directory, and changes nothing.

EXIT STATUS
  0 the server may be started   2 wrong configuration, or not the owner of the data
  5 still held after --for   130 ended by a signal`,
		Example: "  ExecStartPre=/usr/sbin/runuser -u postgres -- /usr/bin/repool agent hold-start",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.runHoldStart(cmd.Context(), o) },
	}
	o.agent.nodeFlag(c)
	c.Flags().DurationVar(&o.limit, "for", 0, "give up after this `time`, which fails the start (default: never)")
	return c
}

// errStillHeld ends a hold that has lasted as long as --for says.
var errStillHeld = errors.New("the time given with --for is over")

func (g *globals) runHoldStart(ctx context.Context, o holdStartOptions) error {
	p, log, err := g.ownNode(&o.agent)
	if err != nil {
		return err
	}
	if o.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.limit, errStillHeld)
		defer cancel()
	}
	why, err := app.HoldStart(ctx, p, topology.NodeID(o.agent.node), log, func(why string) {
		fmt.Fprintf(g.err, "repool: the start of node %d is held: %s. It continues when repool has made the node a standby; "+
			"if no other node is the primary: repool agent allow-start\n", o.agent.node, why)
	})
	switch {
	case errors.Is(err, errStillHeld):
		return exit.With(exit.Unfinished, err, "repool status, on Pgpool-II's host, shows what the node waits for; "+
			"if no other node is the primary: repool agent allow-start")
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(g.err, "repool: node %d may start: %s\n", o.agent.node, why)
	return err
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
