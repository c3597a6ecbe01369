package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/demo"
)

func newDemo(g *globals) *cobra.Command {
	var keep, debian, hosts bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on a real pool made for it",
		Long: `Builds a real pool under one temporary directory (one primary, two standbys,
Pgpool-II, repool), lets a client write through Pgpool-II, and does five bad things
to it, one after the other. It tells what happens with seconds, bytes and the
reason of each decision, and ends with the proof: all nodes attached, the copies
compared row by row, every acknowledged row present or listed by a vault.

Needs the Debian packages postgresql-15 and pgpool2, and with --hosts openssh-server,
iproute2 and nftables; touches nothing else.

EXIT STATUS
  0 every promise was kept   1 it could not be played   6 a promise was not kept`,
		Example: "  repool demo\n  repool demo --json | jq '.acts[] | {title, method, seconds, bytes}'\n  repool demo --keep\n  repool demo --hosts",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			bin, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			o := demo.Options{Repool: bin, Out: g.out, Colour: wantsColour(g.out), Keep: keep}
			if g.json {
				o.Out = nil
			}
			if debian {
				o.Layout = lab.LayoutDebian
			}
			if !hosts {
				r, err := demo.Run(cmd.Context(), o)
				return g.demoEnd(err, r, r)
			}
			var reports []demo.Report
			for _, over := range []lab.AgentMode{lab.AgentsSSH, lab.AgentsTLS} {
				o.Over = over
				r, rerr := demo.Run(cmd.Context(), o)
				reports = append(reports, r)
				if err = rerr; err != nil {
					break
				}
			}
			return g.demoEnd(err, reports, reports...)
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the pool running and say how to connect")
	c.Flags().BoolVar(&debian, "debian", false, "use Debian's layout: configuration outside the data directories")
	c.Flags().BoolVar(&hosts, "hosts", false, "each node on a host of its own (a network namespace; root only): over ssh, then over TLS, with an act in which the network fails")
	return c
}

// demoEnd prints what was played as JSON, where that was asked for, and judges it.
func (g *globals) demoEnd(err error, shown any, played ...demo.Report) error {
	if g.json {
		if jerr := printJSON(g.out, shown); jerr != nil {
			return jerr
		}
	}
	if err != nil {
		return err
	}
	for _, r := range played {
		if !r.OK {
			return exit.New(exit.Problems, "a promise was not kept: see the summary")
		}
	}
	return nil
}
