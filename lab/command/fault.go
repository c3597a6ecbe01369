package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
	"github.com/repool/repool/lab"
)

// fault is one thing that can be done to a lab by hand.
type fault struct {
	what string
	do   func(l *lab.Lab, ctx context.Context, node int) error
}

var faults = map[string]fault{
	"kill": {"kill -9 the server and all its processes", (*lab.Lab).KillNode},
	"stop": {"stop the server (fast)",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.StopNode(ctx, n, lab.Fast) }},
	"immediate": {"stop the server (immediate)",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.StopNode(ctx, n, lab.Immediate) }},
	"start":       {"start the server by hand, as it is", (*lab.Lab).StartNode},
	"freeze":      {"SIGSTOP the server", (*lab.Lab).Freeze},
	"thaw":        {"SIGCONT the server", (*lab.Lab).Thaw},
	"destroy":     {"remove the data directory, under its server if one runs", (*lab.Lab).DestroyData},
	"recycle-wal": {"write and checkpoint until old WAL is gone", (*lab.Lab).RecycleWAL},
	"promote":     {"promote the server by hand", (*lab.Lab).PromoteByHand},
	"detach":      {"detach the node from Pgpool-II", (*lab.Lab).Detach},
	"attach":      {"attach the node to Pgpool-II unchecked", (*lab.Lab).Attach},
	"diverge": {"commit 25 rows on the node that reach no standby, then kill it",
		func(l *lab.Lab, ctx context.Context, n int) error { return divergeAndKill(ctx, l, n) }},
	"kill-pgpool": {"kill -9 Pgpool-II number NODE",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.KillPgpool(ctx, n, false) }},
	"start-pgpool": {"start Pgpool-II number NODE", (*lab.Lab).StartPgpool},
	"kill-repool":  {"kill -9 controller number NODE", (*lab.Lab).KillController},
	"start-repool": {"start controller number NODE", (*lab.Lab).StartController},
	"cut-cable": {"take the network cable from the node's host",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.CutCable(ctx, l.NodeHost(n)) }},
	"mend-cable": {"put the network cable back",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.MendCable(ctx, l.NodeHost(n)) }},
	"partition": {"drop all packets to and from the node's host",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.Part(ctx, l.NodeHost(n), "") }},
	"heal": {"repair the network: drop nothing any more (the number is ignored)",
		func(l *lab.Lab, ctx context.Context, _ int) error { return l.HealNetwork(ctx) }},
	"slow-link": {"slow the network of the node's host down to 8 Mbit/s",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.SlowLink(ctx, l.NodeHost(n), "8mbit") }},
	"power-off": {"kill everything on the node's host at once",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.PowerOff(ctx, l.NodeHost(n)) }},
	"power-on": {"boot the node's host, without starting its server",
		func(l *lab.Lab, ctx context.Context, n int) error { return l.PowerOnNode(ctx, n, false) }},
	"power-cut": {"kill -9 everything at once (the number is ignored)",
		func(l *lab.Lab, ctx context.Context, _ int) error { return l.PowerCut(ctx) }},
}

func divergeAndKill(ctx context.Context, l *lab.Lab, n int) error {
	if _, err := l.Diverge(ctx, n, 25); err != nil {
		return err
	}
	return l.KillNode(ctx, n)
}

type faultOptions struct{ dir, name, node string }

func newFaultCommand(s streams) *cobra.Command {
	var o faultOptions
	names := slices.Sorted(maps.Keys(faults))
	long := "Does one bad thing to the lab:\n\n"
	for _, n := range names {
		long += fmt.Sprintf("  %-13s %s\n", n, faults[n].what)
	}
	long += "\nEXIT STATUS\n  0 done   1 it could not be done   2 wrong usage, or no lab there"
	c := &cobra.Command{
		Use:       "fault NAME NODE",
		Short:     "Do something bad to a node of the lab",
		Long:      long,
		Example:   "  repool-lab fault diverge 0",
		Args:      terminal.Args,
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.node = args[0], args[1]
			return s.runFault(cmd.Context(), o)
		},
	}
	dirFlag(c, &o.dir)
	return c
}

func (s streams) runFault(ctx context.Context, o faultOptions) error {
	f, ok := faults[o.name]
	if !ok {
		return exit.With(exit.Usage, fmt.Errorf("there is no fault %q", o.name), "repool-lab fault --help lists them")
	}
	node, err := strconv.Atoi(o.node)
	if err != nil || node < 0 {
		return exit.New(exit.Usage, "%q is not a node: give its number, such as 0", o.node)
	}
	l, err := lab.Open(o.dir)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if node >= len(l.Nodes) {
		return exit.With(exit.Usage, errors.New("the lab has no such node"), "repool-lab status lists them")
	}
	if err := f.do(l, ctx, node); err != nil {
		return err
	}
	what := strings.ReplaceAll(f.what, "NODE", o.node)
	if what == f.what {
		what = "node " + o.node + ": " + what
	}
	_, err = fmt.Fprintln(s.out, "done:", what)
	return err
}
