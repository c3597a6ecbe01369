package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

func newNotifyCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "notify",
		Short: "Send a test notification to every configured receiver",
		Long: `Sends one event of the kind "test" to the command and the webhook that notify in
repool.yaml names, once each, and says whether they accepted it. Run it as the user
that runs repool serve, which need not be running. The pool is not touched.

EXIT STATUS
  0 all accepted it   2 none is configured, or wrongly   4 a receiver failed`,
		Example: "  sudo -u postgres repool notify --config /etc/repool/repool.yaml",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.runNotify(cmd.Context()) },
	}
}

func (g *globals) runNotify(ctx context.Context) error {
	l, err := g.load()
	if err != nil {
		return err
	}
	all, failed := 0, 0
	err = app.TestNotify(ctx, l.Config.Notify, func(receiver string, err error) {
		all++
		if err != nil {
			failed++
			fmt.Fprintf(g.out, "%s: failed: %v\n", receiver, err)
			return
		}
		fmt.Fprintf(g.out, "%s: accepted\n", receiver)
	})
	if err == nil && failed > 0 {
		err = exit.New(exit.Unreachable, "%d of %d receivers did not accept the event", failed, all)
	}
	return err
}
