package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/terminal"
)

func newVaultCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "vault",
		Short: "List what was kept of lost timelines",
		Long: `Before a node that holds commits of its own is overwritten, its WAL is copied to
the vault, with a report of every transaction that was lost. This lists the
entries of all nodes, or prints one entry's report.

EXIT STATUS
  0 shown   2 wrong usage   4 an agent does not answer; the others' entries are shown`,
		Example: "  repool vault\n  repool vault report 1 20260501T030201-n1",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.runVault(cmd.Context()) },
	}
	c.AddCommand(newVaultReportCommand(g))
	return c
}

func (g *globals) runVault(ctx context.Context) error {
	p, err := g.pool()
	if err != nil {
		return err
	}
	all, missed := app.Vaults(ctx, p, g.quiet())
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
		t.Add(terminal.Text("%d", e.Node), terminal.Text("%s", e.ID),
			terminal.Text("%s", e.Made.Local().Format("2006-01-02 15:04:05")), terminal.Text("%s", e.Diverged),
			terminal.Text("%d", e.Commits), terminal.Text("%s", humanize.IBytes(e.Bytes)), complete, terminal.Text("%s", e.Path))
	}
	return t.Write(w, colour)
}
