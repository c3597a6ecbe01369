package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
	"github.com/repool/repool/lab/bench"
)

type benchOptions struct {
	bench  bench.Options
	repool string // as --repool gives it
	json   bool
}

func newBenchCommand(s streams) *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure repool against the same work by hand, in one run",
		Long: `Builds a pool with pgbench data and about 600 MB of kept WAL, and does each piece
of work in turn by hand and by repool. Prints both times and the ratio.

EXIT STATUS
  0 every aim was met   1 it could not be run   6 an aim was missed`,
		Example: "  repool-lab bench\n  repool-lab bench --rounds 5 --json",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.runBench(cmd.Context(), o) },
	}
	repoolFlag(c, &o.repool)
	jsonFlag(c, &o.json)
	f := c.Flags()
	f.IntVar(&o.bench.Scale, "scale", 20, "pgbench `scale`")
	f.IntVar(&o.bench.Rounds, "rounds", 3, "`number` of rounds of each measure")
	f.StringVar(&o.bench.WALKeep, "wal-keep", "600MB", "`size` of WAL that the servers keep")
	f.StringSliceVar(&o.bench.Only, "only", nil, "measure only these `steps`: idle, adopt, follow, rewind, promotion")
	f.BoolVar(&o.bench.Keep, "keep", false, "leave the pool running")
	return c
}

func (s streams) runBench(ctx context.Context, o benchOptions) (err error) {
	if o.bench.Repool, err = findRepool(o.repool); err != nil {
		return err
	}
	o.bench.Log = s.err
	r, err := bench.Run(ctx, o.bench)
	if err != nil {
		_ = r.Write(s.err) // what was measured before it went wrong
		return err
	}
	if o.json {
		err = terminal.PrintJSON(s.out, r)
	} else {
		err = r.Write(s.out)
	}
	if err == nil && !r.Met() {
		err = exit.New(exit.Problems, "an aim was missed: see the table")
	}
	return err
}
