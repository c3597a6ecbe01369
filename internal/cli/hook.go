package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/terminal"
)

func newHookCommand(g *globals) *cobra.Command {
	c := terminal.Family(&cobra.Command{
		Use:   "hook",
		Short: "Commands that Pgpool-II calls",
		Long: `What pgpool.conf's command lines call. Hooks return fast, may be called twice, and
start nothing that outlives them. failover promotes without needing the
controller; the others ask the controller and return.

The arguments are Pgpool-II's placeholders, in one of the two orders in use or as
key=value pairs; the files failover.sh, follow_primary.sh, resync.sh and the
recovery scripts call these commands with what they are given.

EXIT STATUS
  0 done   2 wrong arguments or configuration   3 refused as unsafe
  4 something did not answer   5 not finished in time`,
		Example: "  failover_command = '/usr/bin/repool hook failover " + hook.KeyValueForm + "'",
		// Pgpool-II leaves its listening sockets open in the hooks it starts, and
		// other things that a child of ours must not have.
		PersistentPreRun: func(*cobra.Command, []string) {
			if g.prepare == nil {
				return
			}
			if err := g.prepare(); err != nil {
				fmt.Fprintln(g.err, "repool: hook:", err)
			}
		},
	})
	c.AddCommand(
		hookEvent(g, hook.KindFailover, "failover", "Promote the best standby when the primary has failed", hook.Failover),
		hookEvent(g, hook.KindFollow, "follow-primary", "Tell the controller that the primary has changed",
			hook.FollowPrimary),
		hookEvent(g, hook.KindResync, "resync", "Ask the controller to resync a node", hook.Resync),
		hookArgs(g, "recovery-1st-stage", "Resync a node for pcp_recovery_node", hook.Recovery1st),
		hookArgs(g, "recovery-2nd-stage", "Bring sequences up to date for native replication", hook.Recovery2nd),
		hookArgs(g, "remote-start", "Start a node for pcp_recovery_node", hook.RemoteStart),
	)
	for _, h := range c.Commands() {
		// A node that Pgpool-II does not know is the argument "-1", and no flag.
		h.Flags().SetInterspersed(false)
	}
	return c
}

// hookStatus ends the help of each hook; docs/exit-codes.md has the details.
const hookStatus = `
EXIT STATUS
  0 done   2 wrong arguments or configuration   3 refused as unsafe
  4 something did not answer   5 not finished in time`

type (
	eventHook func(context.Context, hook.Deps, hook.Event) (hook.Result, error)
	argsHook  func(context.Context, hook.Deps, []string) (hook.Result, error)
)

// hookEvent is a hook whose arguments are Pgpool-II's placeholders.
func hookEvent(g *globals, kind hook.Kind, use, short string, run eventHook) *cobra.Command {
	return &cobra.Command{
		Use:   use + " ARG…",
		Short: short,
		Long:  short + ".\n" + hookStatus,
		Example: "  " + strings.ReplaceAll(use, "-", "_") +
			`_command = '/usr/bin/repool hook ` + use + ` ` + hook.KeyValueForm + `'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, done, err := g.hookDeps()
			if err != nil {
				return err
			}
			defer done()
			e, err := hook.ParseArgs(kind, args, d.Pool.Nodes)
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			_, err = run(cmd.Context(), d, e)
			return err
		},
	}
}

// hookArgs is a hook with an argument list of its own.
func hookArgs(g *globals, use, short string, run argsHook) *cobra.Command {
	return &cobra.Command{
		Use:     use + " ARG…",
		Short:   short,
		Long:    short + ".\n" + hookStatus,
		Example: "  exec /usr/bin/repool hook " + use + ` "$@"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, done, err := g.hookDeps()
			if err != nil {
				return err
			}
			defer done()
			_, err = run(cmd.Context(), d, args)
			return err
		},
	}
}

// hookDeps wires a hook: only what a promotion needs, so that it starts fast.
// done ends what was started to reach agents: nothing of a hook outlives it.
func (g *globals) hookDeps() (d hook.Deps, done func(), err error) {
	l, err := config.LoadOrDefault(g.configFile, g.configFile != "", g.pgpoolConf)
	if err != nil {
		return hook.Deps{}, nil, exit.With(exit.Usage, err)
	}
	p, err := l.ResolveForHook()
	if err != nil {
		return hook.Deps{}, nil, exit.With(exit.Usage, err)
	}
	d, done = app.NewHook(p, g.quiet(), g.err)
	return d, done, nil
}
