package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/lab/chaos"
)

func newChaos(g *globals) *cobra.Command {
	var o chaos.Options
	c := &cobra.Command{
		Use:   "chaos",
		Short: "Break a real pool at random and account for every row",
		Long: `Builds a real pool under one temporary directory (one primary, two standbys,
Pgpool-II, repool), lets clients write through Pgpool-II and read on every node, and
breaks it at random: servers killed and frozen, commits lost, disks filled, Pgpool-II
and the controller killed, nodes started and attached wrongly by hand, and with --network
cables pulled. At every quiet
moment all copies must be equal, and every acknowledged row present or listed by a
vault; with --sync, present. Kinds of faults:

  ` + strings.ReplaceAll(wrap(chaos.Kinds(), 80), "\n", "\n  ") + `

Needs the Debian packages postgresql-15 and pgpool2; as root it also fills disks. It
touches nothing but its own directory, which stays after a violation, with its logs.

EXIT STATUS
  0 every promise was kept   1 it could not be run   6 a promise was not kept`,
		Example: "  repool chaos --time 5m\n  repool chaos --seed 42 --sync\n  repool chaos --only diverge,kill --json | jq .unexplained_rows",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			bin, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			if !cmd.Flags().Changed("seed") {
				o.Seed = uint64(time.Now().UnixNano())
			}
			o.Repool, o.Out = bin, g.err
			r, err := chaos.Run(cmd.Context(), o)
			if g.json {
				err = errors.Join(err, printJSON(g.out, r))
			} else {
				err = errors.Join(err, r.Write(g.out))
			}
			if err == nil && !r.OK {
				err = exit.New(exit.Problems, "a promise was not kept: see the violations; the pool's logs are in %s (repool lab down --dir removes it)", r.Dir)
			}
			return err
		},
	}
	f := c.Flags()
	f.Uint64Var(&o.Seed, "seed", 0, "`number` that chooses the faults; by default a new one each time")
	f.DurationVar(&o.Time, "time", time.Minute, "how `long` to break things")
	f.BoolVar(&o.Sync, "sync", false, "synchronous replication to any one standby, one fault at a time")
	f.BoolVar(&o.Network, "network", false, "every node on a host of its own (network namespaces, as root), and faults between them")
	f.StringSliceVar(&o.Only, "only", nil, "draw only these `kinds` of faults")
	f.BoolVar(&o.Keep, "keep", false, "leave the pool's directory with its logs")
	return c
}

// wrap breaks words into lines of at most so many characters.
func wrap(words []string, width int) string {
	var lines []string
	line := ""
	for _, w := range words {
		if line != "" && len(line)+1+len(w) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + w)
	}
	return strings.Join(append(lines, line), "\n")
}
