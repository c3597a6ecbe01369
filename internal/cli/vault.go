package cli

import (
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/topology"
)

func newVault(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "vault",
		Short: "List what was kept of lost lines of WAL",
		Long: `Before a node that holds commits of its own is overwritten, its WAL is copied to
the vault, with a report of every transaction that was lost. This lists the
entries of all nodes, or prints one entry's report.

EXIT STATUS
  0 shown   2 wrong usage   4 no agent answers`,
		Example: "  repool vault\n  repool vault report 1 20260501T030201-n1",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := g.pool()
			if err != nil {
				return err
			}
			w, err := g.wire(p, g.quiet(), readOnly)
			if err != nil {
				return err
			}
			defer w.close()
			all := []topology.VaultEntry{}
			for _, n := range w.nodes {
				entries, err := n.Agent.Vault(cmd.Context())
				if err != nil {
					return exit.With(exit.Unreachable, err)
				}
				all = append(all, entries...)
			}
			if g.json {
				return printJSON(g.out, all)
			}
			t := &table{head: []string{"NODE", "ID", "MADE", "DIVERGED", "LOST COMMITS", "SIZE", "COMPLETE", "PATH"}}
			for _, e := range all {
				complete := painted(green, "yes")
				if !e.Complete {
					complete = painted(red, "no: "+e.Missing)
				}
				t.add(txt("%d", e.Node), txt("%s", e.ID), txt("%s", e.Made.Local().Format("2006-01-02 15:04:05")), txt("%s", e.Diverged),
					txt("%d", e.Commits), txt("%s", humanize.IBytes(e.Bytes)), complete, txt("%s", e.Path))
			}
			return t.write(g.out, isTerminal(g.out))
		},
	}
	c.AddCommand(&cobra.Command{
		Use:     "report NODE ENTRY",
		Short:   "Print the report of one vault entry as JSON: each lost commit",
		Example: "  repool vault report 1 20260501T030201-n1 | jq '.commits | length'",
		Args:    usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.Atoi(args[0])
			if err != nil {
				return exit.New(exit.Usage, "%q is no node", args[0])
			}
			p, err := g.pool()
			if err != nil {
				return err
			}
			w, err := g.wire(p, g.quiet(), readOnly)
			if err != nil {
				return err
			}
			defer w.close()
			for _, n := range w.nodes {
				if int(n.ID) != id {
					continue
				}
				b, err := n.Agent.VaultReport(cmd.Context(), args[1])
				if err != nil {
					return exit.With(exit.Unreachable, err)
				}
				_, err = g.out.Write(b)
				return err
			}
			return exit.New(exit.Usage, "no agent of a node %d can be reached", id)
		},
	})
	return c
}
