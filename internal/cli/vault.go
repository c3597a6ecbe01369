package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
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
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := g.look()
			if err != nil {
				return err
			}
			defer func() { _ = w.close() }() // only looked
			all, missed := w.vaults(cmd.Context())
			switch {
			case g.json:
				err = printJSON(g.out, all)
			case missed == nil || len(all) > 0:
				err = renderVault(g.out, all, wantsColour(g.out))
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
			if p.Node(topology.NodeID(id)) == nil {
				return noSuchNode(p, id)
			}
			w, err := g.wire(p, g.quiet(), readOnly)
			if err != nil {
				return err
			}
			defer func() { _ = w.close() }() // only looked
			if err := w.unreached[topology.NodeID(id)]; err != nil {
				return err
			}
			b, err := w.agents[topology.NodeID(id)].VaultReport(cmd.Context(), args[1])
			if err != nil {
				return exit.With(exit.Unreachable, err, "repool vault lists the entries")
			}
			_, err = g.out.Write(b)
			return err
		},
	}
}

// look wires what a command needs that only reads.
func (g *globals) look() (*wiring, error) {
	p, err := g.pool()
	if err != nil {
		return nil, err
	}
	return g.wire(p, g.quiet(), readOnly)
}

// vaults gathers the entries of every node, and an error for those nodes whose
// vault could not be read; its hint and status are the first one's.
func (w *wiring) vaults(ctx context.Context) ([]topology.VaultEntry, error) {
	all, code, hint := []topology.VaultEntry{}, exit.Unreachable, ""
	var missed []error
	note := func(id topology.NodeID, err error) {
		if len(missed) == 0 {
			hint = exit.Hint(err)
			if c := exit.Code(err); c != exit.Internal {
				code = c
			}
		}
		missed = append(missed, fmt.Errorf("read the vault of node %d: %w", id, err))
	}
	for _, id := range w.ids {
		if err := w.unreached[id]; err != nil {
			note(id, err)
			continue
		}
		entries, err := w.agents[id].Vault(ctx)
		if err != nil {
			note(id, err)
			continue
		}
		all = append(all, entries...)
	}
	return all, exit.With(code, errors.Join(missed...), hint)
}

func renderVault(w io.Writer, all []topology.VaultEntry, colour bool) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "The vault is empty: no node has lost a commit.")
		return err
	}
	t := &table{head: []string{"NODE", "ID", "MADE", "DIVERGED", "LOST COMMITS", "SIZE", "COMPLETE", "PATH"}}
	for _, e := range all {
		complete := painted(green, "yes")
		if !e.Complete {
			complete = painted(red, "no: "+oneLine(e.Missing))
		}
		t.add(txt("%d", e.Node), txt("%s", e.ID), txt("%s", e.Made.Local().Format("2006-01-02 15:04:05")), txt("%s", e.Diverged),
			txt("%d", e.Commits), txt("%s", humanize.IBytes(e.Bytes)), complete, txt("%s", e.Path))
	}
	return t.write(w, colour)
}
