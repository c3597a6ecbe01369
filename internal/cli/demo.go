package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/demo"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/lab"
)

func newDemo(g *globals) *cobra.Command {
	var keep, debian bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on a real pool made for it",
		Long: `Builds a real pool under one temporary directory (one primary, two standbys,
Pgpool-II, repool), lets a client write through Pgpool-II, and does five bad things
to it, one after the other. It tells what happens with seconds, bytes and the
reason of each decision, and ends with the proof: all nodes attached, the copies
compared row by row, every acknowledged row present or listed by a vault.

Needs the Debian packages postgresql-15 and pgpool2; touches nothing else.

EXIT STATUS
  0 every promise was kept   1 it could not be played   6 a promise was not kept`,
		Example: "  repool demo\n  repool demo --json | jq '.acts[] | {title, method, seconds, bytes}'\n  repool demo --keep",
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
			r, err := demo.Run(cmd.Context(), o)
			if g.json {
				if jerr := printJSON(g.out, r); jerr != nil {
					return jerr
				}
			}
			if err != nil {
				return err
			}
			if !r.OK {
				return exit.New(exit.Problems, "a promise was not kept: see the summary")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the pool running and say how to connect")
	c.Flags().BoolVar(&debian, "debian", false, "use Debian's layout: configuration outside the data directories")
	return c
}
