package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/lab"
)

func newLab(g *globals) *cobra.Command {
	var dir string
	c := family(&cobra.Command{
		Use:   "lab",
		Short: "Build a real pool on this machine to try things on",
		Long: `A lab is a real pool under one directory: PostgreSQL nodes, Pgpool-II, and
repool's controller and hooks. Nothing outside the directory is touched. As root,
everything in it runs as the user postgres.

EXIT STATUS
  0 done   1 it could not be built   2 wrong usage`,
		Example: "  repool lab up --dir /tmp/lab\n  repool lab fault kill 0 --dir /tmp/lab\n  repool lab status --dir /tmp/lab\n  repool lab down --dir /tmp/lab",
	})
	c.PersistentFlags().StringVar(&dir, "dir", filepath.Join(os.TempDir(), "repool-lab"), "the lab's `directory`")
	c.AddCommand(newLabUp(g, &dir), newLabDown(g, &dir), newLabStatus(g, &dir), newLabFault(g, &dir))
	return c
}

func newLabUp(g *globals, dir *string) *cobra.Command {
	o := lab.Options{Hooks: true, Controller: true, Web: true}
	var debian, separate, bare bool
	var hosts string
	c := &cobra.Command{
		Use:   "up",
		Short: "Build the pool and leave it running",
		Long: `Builds the pool and prints how to connect. It runs until repool lab down.

EXIT STATUS
  0 it runs   1 it could not be built   2 wrong usage`,
		Example: "  repool lab up --standbys 4 --debian",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			bin, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			o.Dir, o.Repool, o.Keep, o.Log = *dir, bin, true, g.err
			if bare {
				o.Repool, o.Hooks, o.Controller = "", false, false
			}
			if debian {
				o.Layout = lab.LayoutDebian
			}
			if separate {
				o.Agents = lab.AgentsSeparate
			}
			if hosts != "" {
				o.Hosts, o.Agents = true, lab.AgentMode(hosts)
			}
			l, err := lab.Up(cmd.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(g.out, "The pool is running in %s.\n\n  psql '%s'\n  repool lab status --dir %s\n", l.Dir, l.PoolConnString(), l.Dir)
			if err == nil && !bare {
				_, err = fmt.Fprintf(g.out, "  repool status --config %s\n  http://%s/\n", l.RepoolConf(), l.WebAddr)
			}
			return err
		},
	}
	f := c.Flags()
	f.IntVar(&o.Standbys, "standbys", 2, "`number` of standbys")
	f.IntVar(&o.Watchdog, "watchdog", 0, "`number` of Pgpool-IIs that watch each other")
	f.StringVar(&o.SyncStandbys, "sync", "", "synchronous_standby_names, such as 'ANY 1 (*)'")
	f.BoolVar(&o.Recovery, "recovery", false, "make pcp_recovery_node possible")
	f.BoolVar(&debian, "debian", false, "Debian's layout: configuration outside the data directories")
	f.BoolVar(&separate, "agents", false, "run each node's agent as a process of its own")
	f.StringVar(&hosts, "hosts", "", "each node and Pgpool-II on a host of its own (root only), agents reached `over` ssh or tls")
	f.BoolVar(&bare, "bare", false, "no repool: only PostgreSQL and Pgpool-II")
	return c
}

func newLabDown(g *globals, dir *string) *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop everything in the lab and remove it",
		Long: `Stops every process of the lab and removes its directory, and nothing else.

EXIT STATUS
  0 gone   1 something could not be stopped   2 no lab there`,
		Example: "  repool lab down --dir /tmp/lab",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Open(*dir)
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			if err := l.Down(cmd.Context()); err != nil {
				return err
			}
			if keep {
				return nil
			}
			return l.Remove()
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the directory with its logs")
	return c
}

func newLabStatus(g *globals, dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the lab's nodes as Pgpool-II and PostgreSQL see them",
		Long: `Asks the lab's own Pgpool-II and PostgreSQL servers, without repool.

EXIT STATUS
  0 shown   2 no lab there`,
		Example: "  repool lab status --json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Open(*dir)
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			nodes := l.Status(cmd.Context())
			if g.json {
				return printJSON(g.out, nodes)
			}
			t := &table{head: []string{"NODE", "PORT", "PGPOOL-II", "SERVER", "TIMELINE", "LSN"}}
			for _, n := range nodes {
				server := "stopped"
				switch {
				case n.Primary:
					server = "primary"
				case n.Streaming:
					server = "standby, streaming"
				case n.Answers:
					server = "standby, not streaming"
				case n.Running:
					server = "runs, no answer"
				}
				t.add(txt("%d", n.ID), txt("%d", n.Port), txt("%s %s", n.Pool, n.PoolRole), txt("%s", server), txt("%d", n.Timeline), txt("%s", n.LSN))
			}
			return t.write(g.out, wantsColour(g.out))
		},
	}
}

// labFault is one thing that can be done to a lab by hand.
type labFault struct {
	what string
	do   func(ctx context.Context, l *lab.Lab, node int) error
}

var labFaults = map[string]labFault{
	"kill":         {"kill -9 the server and all its processes", func(ctx context.Context, l *lab.Lab, n int) error { return l.KillNode(ctx, n) }},
	"stop":         {"stop the server (fast)", func(ctx context.Context, l *lab.Lab, n int) error { return l.StopNode(ctx, n, lab.Fast) }},
	"immediate":    {"stop the server (immediate)", func(ctx context.Context, l *lab.Lab, n int) error { return l.StopNode(ctx, n, lab.Immediate) }},
	"start":        {"start the server by hand, as it is", func(ctx context.Context, l *lab.Lab, n int) error { return l.StartNode(ctx, n) }},
	"freeze":       {"SIGSTOP the server", func(ctx context.Context, l *lab.Lab, n int) error { return l.Freeze(ctx, n) }},
	"thaw":         {"SIGCONT the server", func(ctx context.Context, l *lab.Lab, n int) error { return l.Thaw(ctx, n) }},
	"destroy":      {"remove the data directory, under its server if one runs", func(ctx context.Context, l *lab.Lab, n int) error { return l.DestroyData(ctx, n) }},
	"recycle-wal":  {"write and checkpoint until old WAL is gone", func(ctx context.Context, l *lab.Lab, n int) error { return l.RecycleWAL(ctx, n) }},
	"promote":      {"promote the server by hand", func(ctx context.Context, l *lab.Lab, n int) error { return l.PromoteByHand(ctx, n) }},
	"detach":       {"detach the node from Pgpool-II", func(ctx context.Context, l *lab.Lab, n int) error { return l.Detach(ctx, n) }},
	"attach":       {"attach the node to Pgpool-II unchecked", func(ctx context.Context, l *lab.Lab, n int) error { return l.Attach(ctx, n) }},
	"diverge":      {"commit 25 rows on the node that reach no standby, then kill it", divergeAndKill},
	"kill-pgpool":  {"kill -9 Pgpool-II number NODE", func(ctx context.Context, l *lab.Lab, n int) error { return l.KillPgpool(ctx, n, false) }},
	"start-pgpool": {"start Pgpool-II number NODE", func(ctx context.Context, l *lab.Lab, n int) error { return l.StartPgpool(ctx, n) }},
	"kill-repool":  {"kill -9 controller number NODE", func(ctx context.Context, l *lab.Lab, n int) error { return l.KillController(ctx, n) }},
	"start-repool": {"start controller number NODE", func(ctx context.Context, l *lab.Lab, n int) error { return l.StartController(ctx, n) }},
	"cut-cable":    {"take the network cable from the node's host", func(ctx context.Context, l *lab.Lab, n int) error { return l.CutCable(ctx, l.NodeHost(n)) }},
	"mend-cable":   {"put the network cable back", func(ctx context.Context, l *lab.Lab, n int) error { return l.MendCable(ctx, l.NodeHost(n)) }},
	"partition":    {"lose all that goes to and from the node's host", func(ctx context.Context, l *lab.Lab, n int) error { return l.Part(ctx, l.NodeHost(n), "") }},
	"heal":         {"lose nothing any more (the number is ignored)", func(ctx context.Context, l *lab.Lab, _ int) error { return l.HealNetwork(ctx) }},
	"slow-link":    {"slow the network of the node's host down to 8 Mbit/s", func(ctx context.Context, l *lab.Lab, n int) error { return l.SlowLink(ctx, l.NodeHost(n), "8mbit") }},
	"power-off":    {"kill everything on the node's host at once", func(ctx context.Context, l *lab.Lab, n int) error { return l.PowerOff(ctx, l.NodeHost(n)) }},
	"power-on":     {"boot the node's host, its server not among what starts", func(ctx context.Context, l *lab.Lab, n int) error { return l.PowerOnNode(ctx, n, false) }},
	"power-cut":    {"kill -9 everything at once (the number is ignored)", func(ctx context.Context, l *lab.Lab, _ int) error { return l.PowerCut(ctx) }},
}

func divergeAndKill(ctx context.Context, l *lab.Lab, n int) error {
	if _, err := l.Diverge(ctx, n, 25); err != nil {
		return err
	}
	return l.KillNode(ctx, n)
}

func newLabFault(g *globals, dir *string) *cobra.Command {
	var names []string
	for name := range labFaults {
		names = append(names, name)
	}
	slices.Sort(names)
	long := "Does one bad thing to the lab:\n\n"
	for _, n := range names {
		long += fmt.Sprintf("  %-13s %s\n", n, labFaults[n].what)
	}
	long += "\nEXIT STATUS\n  0 done   1 it could not be done   2 wrong usage, or no lab there"
	return &cobra.Command{
		Use:       "fault NAME NODE",
		Short:     "Do something bad to a node of the lab",
		Long:      long,
		Example:   "  repool lab fault diverge 0",
		Args:      usage(cobra.ExactArgs(2)),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, ok := labFaults[args[0]]
			if !ok {
				return exit.With(exit.Usage, fmt.Errorf("there is no fault %q", args[0]), "repool lab fault --help lists them")
			}
			node, err := strconv.Atoi(args[1])
			if err != nil || node < 0 {
				return exit.New(exit.Usage, "%q is no node", args[1])
			}
			l, err := lab.Open(*dir)
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			if node >= len(l.Nodes) {
				return exit.With(exit.Usage, errors.New("the lab has no such node"), "repool lab status lists them")
			}
			if err := f.do(cmd.Context(), l, node); err != nil {
				return err
			}
			what := strings.ReplaceAll(f.what, "NODE", args[1])
			if what == f.what {
				what = "node " + args[1] + ": " + what
			}
			_, err = fmt.Fprintln(g.out, "done:", what)
			return err
		},
	}
}
