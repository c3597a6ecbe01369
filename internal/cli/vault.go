package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

func newVault(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "vault",
		Short: "List what was kept of lost lines of WAL",
		Long: `Before a node that holds commits of its own is overwritten, its WAL is copied to
the vault, with a report of every transaction that was lost. This lists the
entries of all nodes, or prints one entry's report.

EXIT STATUS
  0 shown   2 wrong usage   4 an agent does not answer; the others' entries are shown`,
		Example: "  repool vault\n  repool vault report 1 20260501T030201-n1",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := g.pool()
			if err != nil {
				return err
			}
			all, missed := app.Vaults(cmd.Context(), p, g.quiet())
			switch {
			case g.json:
				err = terminal.PrintJSON(g.out, all)
			case missed == nil || len(all) > 0:
				err = renderVault(g.out, all, terminal.WantsColour(g.out))
			}
			if err != nil {
				return err
			}
			return missed
		},
	}
	c.AddCommand(newVaultReport(g))
	return c
}

func newVaultReport(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "report NODE ENTRY",
		Short: "Print the report of one vault entry as JSON: each lost commit",
		Long: `Prints what is known of each transaction of the entry: its commit time, the
relations it wrote to, and how many rows.

EXIT STATUS
  0 printed   2 wrong usage   4 the node's agent does not answer, or has no such entry`,
		Example: "  repool vault report 1 20260501T030201-n1 | jq '.commits | length'",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.Atoi(args[0])
			if err != nil {
				return exit.New(exit.Usage, "%q is no node", args[0])
			}
			p, err := g.pool()
			if err != nil {
				return err
			}
			if p.Node(topology.NodeID(id)) == nil {
				return noSuchNode(p, id)
			}
			b, err := app.VaultReport(cmd.Context(), p, g.quiet(), topology.NodeID(id), args[1])
			if err != nil {
				return err
			}
			_, err = g.out.Write(b)
			return err
		},
	}
}

func renderVault(w io.Writer, all []topology.VaultEntry, colour bool) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "The vault is empty: no node has lost a commit.")
		return err
	}
	t := &terminal.Table{Head: []string{"NODE", "ID", "MADE", "DIVERGED", "LOST COMMITS", "SIZE", "COMPLETE", "PATH"}}
	for _, e := range all {
		complete := terminal.Painted(terminal.Green, "yes")
		if !e.Complete {
			complete = terminal.Painted(terminal.Red, "no: "+terminal.OneLine(e.Missing))
		}
		t.Add(terminal.Text("%d", e.Node), terminal.Text("%s", e.ID), terminal.Text("%s", e.Made.Local().Format("2006-01-02 15:04:05")), terminal.Text("%s", e.Diverged),
			terminal.Text("%d", e.Commits), terminal.Text("%s", humanize.IBytes(e.Bytes)), complete, terminal.Text("%s", e.Path))
	}
	return t.Write(w, colour)
}
