package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/terminal"
)

func newHookCommand(g *globals) *cobra.Command {
	c := terminal.Family(&cobra.Command{
		Use:   "hook",
		Short: "Commands that Pgpool-II calls",
		Long: `What pgpool.conf's command lines call. Hooks return fast, are idempotent, and start
nothing that outlives them. failover promotes without needing the
controller; the others ask the controller and return.

The arguments are Pgpool-II's placeholders, in one of the two orders in use or as
key=value pairs; the files failover.sh, follow_primary.sh, resync.sh and the
recovery scripts call these commands with what they are given. With the one argument
"try" a hook proves that its user can read what it needs, and does nothing.

EXIT STATUS
  0 done   2 wrong arguments or configuration   3 refused as unsafe
  4 something did not answer   5 not finished in time`,
		Example: "  failover_command = '/usr/bin/repool hook failover " + hook.KeyValueForm + "'",
		// Pgpool-II leaves its listening sockets open in the hooks it starts, among
		// other things that their children must not inherit.
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
		g.newEventHookCommand("failover", "Promote the best standby when the primary has failed",
			hook.KindFailover, hook.Failover),
		g.newEventHookCommand("follow-primary", "Tell the controller that the primary has changed",
			hook.KindFollow, hook.FollowPrimary),
		g.newEventHookCommand("resync", "Ask the controller to resync a node", hook.KindResync, hook.Resync),
		g.newScriptHookCommand("recovery-1st-stage", "Resync a node for pcp_recovery_node", hook.Recovery1st),
		g.newScriptHookCommand("recovery-2nd-stage", "Bring sequences up to date for native replication", hook.Recovery2nd),
		g.newScriptHookCommand("remote-start", "Start a node for pcp_recovery_node", hook.RemoteStart),
	)
	for _, h := range c.Commands() {
		// An unknown node is the argument "-1", which is not a flag.
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
	eventHook  func(context.Context, hook.Deps, hook.Event) (hook.Result, error)
	scriptHook func(context.Context, hook.Deps, []string) (hook.Result, error)
)

// newEventHookCommand is a hook whose arguments are Pgpool-II's placeholders.
func (g *globals) newEventHookCommand(use, short string, kind hook.Kind, run eventHook) *cobra.Command {
	example := "  " + strings.ReplaceAll(use, "-", "_") +
		"_command = '/usr/bin/repool hook " + use + " " + hook.KeyValueForm + "'"
	parsed := func(ctx context.Context, d hook.Deps, args []string) (hook.Result, error) {
		e, err := hook.ParseArgs(kind, args, d.Pool.Nodes)
		if err != nil {
			return hook.Result{}, exit.With(exit.Usage, err)
		}
		return run(ctx, d, e)
	}
	return g.newAnyHookCommand(use, short, example, parsed)
}

// newScriptHookCommand is a hook that one of pgpool_recovery's scripts calls.
func (g *globals) newScriptHookCommand(use, short string, run scriptHook) *cobra.Command {
	return g.newAnyHookCommand(use, short, "  exec /usr/bin/repool hook "+use+` "$@"`, run)
}

func (g *globals) newAnyHookCommand(use, short, example string, run scriptHook) *cobra.Command {
	return &cobra.Command{
		Use:     use + " ARG…",
		Short:   short,
		Long:    short + ".\n" + hookStatus,
		Example: example,
		RunE:    func(cmd *cobra.Command, args []string) error { return g.runHook(cmd.Context(), run, args) },
	}
}

func (g *globals) runHook(ctx context.Context, run scriptHook, args []string) error {
	l, err := g.load()
	if err != nil {
		return err
	}
	p, err := l.ResolveForHook()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if len(args) == 1 && args[0] == hook.TryWord {
		return exit.With(exit.Refused, hook.Try(p, g.out))
	}
	d, done := app.NewHook(p, g.quiet(), g.err)
	defer done()
	_, err = run(ctx, d, args)
	return err
}
