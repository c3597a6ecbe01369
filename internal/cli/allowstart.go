package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/terminal"
)

func newAllowStartCommand(g *globals) *cobra.Command {
	var o agentOptions
	c := &cobra.Command{
		Use:   "allow-start",
		Short: "Allow a start that is held at boot",
		Long: `Lets the server of this host start as the primary that it was. Only do this when no
other node is the pool's primary, and none is being promoted: the hold is there to
prevent two primaries. What the other one has written would be lost to the pool.

EXIT STATUS
  0 the start continues   2 wrong configuration, or not the owner of the data
  3 no start is held`,
		Example: "  sudo -u postgres repool agent allow-start",
		Args:    terminal.Args,
		RunE:    func(*cobra.Command, []string) error { return g.runAllowStart(o) },
	}
	o.nodeFlag(c)
	return c
}

func (g *globals) runAllowStart(o agentOptions) error {
	p, log, err := g.ownNode(&o)
	if err != nil {
		return err
	}
	why, err := app.AllowStart(p, topology.NodeID(o.node), log, who())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.out, "node %d starts. It was held: %s\n", o.node, why)
	return err
}
