package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

func newNotify(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "notify",
		Short: "Send a test notification to everybody who is told of events",
		Long: `Sends one event of the kind "test" to the command and the webhook that notify in
repool.yaml names, once each, and says how they took it. Run it as the user that
runs repool serve, which need not run. The pool is not asked and not touched.

EXIT STATUS
  0 everybody took it   2 nobody is configured, or wrongly   4 somebody did not take it`,
		Example: "  sudo -u postgres repool notify --config /etc/repool/repool.yaml",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := config.LoadOrDefault(g.configFile, g.configFile != "", g.pgpoolConf)
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			return g.runNotify(cmd.Context(), l.Config.Notify)
		},
	}
}

func (g *globals) runNotify(ctx context.Context, c config.Notify) error {
	all, deaf := 0, 0
	err := app.TestNotify(ctx, c, func(receiver string, err error) {
		all++
		if err != nil {
			deaf++
			fmt.Fprintf(g.out, "%s: not taken: %v\n", receiver, err)
			return
		}
		fmt.Fprintf(g.out, "%s: taken\n", receiver)
	})
	if err == nil && deaf > 0 {
		err = exit.New(exit.Unreachable, "%d of %d receivers did not take the event", deaf, all)
	}
	return err
}
