package cli

import (
	"context"
	"errors"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/terminal"
)

func newServeCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the controller beside Pgpool-II",
		Long: `Watches the pool and brings failed nodes back. Run it beside each Pgpool-II, as
the user that owns the data directories (postgres). With Pgpool-II's watchdog,
only the controller beside the leader with quorum acts; the others only look.

It reads pgpool.conf for everything about the nodes, and repool.yaml, where there
is one, for the rest. Every PostgreSQL server keeps running when it is stopped.

EXIT STATUS
  0 stopped by a signal   1 internal error   2 wrong configuration
  3 another controller runs with this state directory`,
		Example: "  repool serve --config /etc/repool/repool.yaml",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.runServe(cmd.Context()) },
	}
	g.logFlag(c.Flags())
	return c
}

func (g *globals) runServe(ctx context.Context) error {
	p, err := g.pool()
	if err != nil {
		return err
	}
	log, err := g.log(p.Log.Format)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, app.Options{Pool: p, Log: log, HookOut: g.err})
	if err != nil {
		return err
	}
	return runUntilDone(ctx, a)
}

// service is what the service manager starts: app.App or app.Agent.
type service interface {
	Run(ctx context.Context) error
	Close() error
}

// runUntilDone runs s and tells the service manager, where there is one.
func runUntilDone(ctx context.Context, s service) error {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // no manager that listens is no error
	err := s.Run(ctx)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return errors.Join(err, s.Close())
}
