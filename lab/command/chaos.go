package command

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
	"github.com/repool/repool/lab/chaos"
)

type chaosOptions struct {
	chaos  chaos.Options
	repool string // as --repool gives it
	json   bool
}

func newChaosCommand(s streams) *cobra.Command {
	var o chaosOptions
	c := &cobra.Command{
		Use:   "chaos",
		Short: "Break a real pool at random and account for every row",
		Long: `Builds a real pool under one temporary directory (one primary, two standbys,
Pgpool-II, repool), lets clients write through Pgpool-II and read on every node, and
breaks it at random: servers killed and frozen, commits lost, disks filled, Pgpool-II
and the controller killed, nodes started and attached wrongly by hand, and with
--network cables pulled. Whenever all is healed, all copies must be equal, and every
acknowledged row present or listed by a vault; with --sync, present. Kinds of faults:

  ` + strings.ReplaceAll(wrap(chaos.Kinds(), 80), "\n", "\n  ") + `

Needs the Debian packages postgresql-15 and pgpool2; as root it also fills disks. It
touches nothing but its own directory, which stays after a violation, with its logs.

EXIT STATUS
  0 every promise was kept   1 it could not be run   6 a promise was not kept`,
		Example: "  repool-lab chaos --time 5m\n  repool-lab chaos --seed 42 --sync\n" +
			"  repool-lab chaos --only diverge,kill --json | jq .unexplained_rows",
		Args: terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				o.chaos.Seed = uint64(time.Now().UnixNano())
			}
			return s.runChaos(cmd.Context(), o)
		},
	}
	repoolFlag(c, &o.repool)
	jsonFlag(c, &o.json)
	f := c.Flags()
	f.Uint64Var(&o.chaos.Seed, "seed", 0, "`number` that chooses the faults; by default a new one each time")
	f.DurationVar(&o.chaos.Time, "time", time.Minute, "how `long` to break things")
	f.BoolVar(&o.chaos.Sync, "sync", false, "synchronous replication to any one standby, one fault at a time")
	f.BoolVar(&o.chaos.Network, "network", false,
		"every node on a host of its own (network namespaces, as root), and faults between them")
	f.StringSliceVar(&o.chaos.Only, "only", nil, "draw only these `kinds` of faults")
	f.BoolVar(&o.chaos.Keep, "keep", false, "leave the pool's directory with its logs")
	return c
}

func (s streams) runChaos(ctx context.Context, o chaosOptions) (err error) {
	if o.chaos.Repool, err = findRepool(o.repool); err != nil {
		return err
	}
	o.chaos.Out = s.err
	r, err := chaos.Run(ctx, o.chaos)
	if o.json {
		err = errors.Join(err, terminal.PrintJSON(s.out, r))
	} else {
		err = errors.Join(err, r.Write(s.out))
	}
	if err == nil && !r.OK {
		err = exit.New(exit.Problems,
			"a promise was not kept: see the violations; the pool's logs are in %s (repool-lab down --dir removes it)", r.Dir)
	}
	return err
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
