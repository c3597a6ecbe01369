package cli

import (
	"context"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/layout"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/terminal"
)

// globals are the flags of every command, and where it prints.
type globals struct {
	configFile string
	pgpoolConf string
	json       bool
	verbose    bool
	logFormat  string // of serve and agent; empty: log.format of repool.yaml
	out, err   io.Writer
	// prepare is called before a hook, to clean up what its process has inherited
	// from Pgpool-II. May be nil.
	prepare func() error
}

// Main runs one command line and returns the exit status.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	// Few objects live long here: collecting more often keeps an idle controller small.
	debug.SetGCPercent(50)
	g := &globals{out: out, err: errOut, prepare: hook.Prepare}
	return g.main(ctx, args)
}

func (g *globals) main(ctx context.Context, args []string) int {
	return terminal.Run(ctx, newRoot(g), args)
}

func newRoot(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "repool",
		Short: "Put failed PostgreSQL nodes back into a Pgpool-II pool",
		Long: `repool notices that a node fell out of a Pgpool-II pool, finds out what is
wrong with it, saves what only that node holds, brings it level with the
primary by the cheapest safe method, proves that it is right, and reattaches it.

EXIT STATUS
  0 done   1 internal error   2 wrong usage or configuration   3 refused as unsafe
  4 something did not answer   5 not finished in time   6 a check found problems
  7 parked or on hold   130 interrupted`,
		Example: `  repool status
  repool plan
  repool resync 2 --yes`,
	}
	f := root.PersistentFlags()
	f.StringVar(&g.configFile, "config", "",
		"`file` with repool's own settings (default "+config.DefaultPath+", if it exists)")
	f.StringVar(&g.pgpoolConf, "pgpool-conf", "",
		"Pgpool-II's configuration `file` (default: "+layout.PgpoolConfs()+")")
	f.BoolVar(&g.json, "json", false, "print state as JSON")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "say more on standard error")
	terminal.Setup(root, g.out, g.err,
		terminal.Group{Title: "Look at the pool:", Commands: []*cobra.Command{
			newStatusCommand(g), newPlanCommand(g), newHistoryCommand(g), newVaultCommand(g)}},
		terminal.Group{Title: "Tell repool what to do:", Commands: []*cobra.Command{
			newResyncCommand(g), newHoldCommand(g), newReleaseCommand(g), newDetachCommand(g), newAttachCommand(g)}},
		terminal.Group{Title: "Set it up beside Pgpool-II:", Commands: []*cobra.Command{
			newCheckCommand(g), newSetupCommand(g), newCertsCommand(g), newNotifyCommand(g)}},
		terminal.Group{Title: "Started by systemd and Pgpool-II:", Commands: []*cobra.Command{
			newServeCommand(g), newAgentCommand(g), newHookCommand(g)}},
		terminal.Group{Title: "Other:", Commands: []*cobra.Command{newVersionCommand(g)}},
	)
	return root
}

// load reads repool.yaml: the file of --config, or else the default one, which may
// be missing.
func (g *globals) load() (*config.Loaded, error) {
	l, err := config.LoadOrDefault(g.configFile, g.configFile != "", g.pgpoolConf)
	return l, exit.With(exit.Usage, err)
}

// pool reads both configuration files.
func (g *globals) pool() (*config.Pool, error) {
	l, err := g.load()
	if err != nil {
		return nil, err
	}
	p, err := l.Resolve()
	return p, exit.With(exit.Usage, err)
}
