package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/lab/bench"
)

func newBench(g *globals) *cobra.Command {
	var o bench.Options
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure repool against the same work by hand, in one run",
		Long: `Builds a pool with pgbench data and about 600 MB of kept WAL, and does each piece
of work twice in turn: by hand, and by repool. Prints both times and the ratio.

EXIT STATUS
  0 every aim was met   1 it could not be run   6 an aim was missed`,
		Example: "  repool bench\n  repool bench --rounds 5 --json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			bin, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			o.Repool, o.Log = bin, g.err
			r, err := bench.Run(cmd.Context(), o)
			if err != nil {
				_ = r.Write(g.err) // what was measured before it went wrong
				return err
			}
			if g.json {
				err = printJSON(g.out, r)
			} else {
				err = r.Write(g.out)
			}
			if err == nil && !r.Met() {
				err = exit.New(exit.Problems, "an aim was missed: see the table")
			}
			return err
		},
	}
	c.Flags().IntVar(&o.Scale, "scale", 20, "pgbench `scale`")
	c.Flags().IntVar(&o.Rounds, "rounds", 3, "`number` of rounds of each measure")
	c.Flags().StringVar(&o.WALKeep, "wal-keep", "600MB", "`size` of WAL that the servers keep")
	c.Flags().StringSliceVar(&o.Only, "only", nil, "measure only these `steps`: idle, adopt, follow, rewind, promotion")
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave the pool running")
	return c
}
