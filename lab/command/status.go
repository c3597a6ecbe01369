package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
	"github.com/repool/repool/lab"
)

type statusOptions struct {
	dir  string
	json bool
}

func newStatusCommand(s streams) *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the lab's nodes as Pgpool-II and PostgreSQL see them",
		Long: `Asks the lab's own Pgpool-II and PostgreSQL servers, without repool.

EXIT STATUS
  0 shown   2 no lab there`,
		Example: "  repool-lab status --json",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.runStatus(cmd.Context(), o) },
	}
	dirFlag(c, &o.dir)
	jsonFlag(c, &o.json)
	return c
}

func (s streams) runStatus(ctx context.Context, o statusOptions) error {
	l, err := lab.Open(o.dir)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	nodes := l.Status(ctx)
	if o.json {
		return terminal.PrintJSON(s.out, nodes)
	}
	t := &terminal.Table{Head: []string{"NODE", "PORT", "PGPOOL-II", "SERVER", "TIMELINE", "LSN"}}
	for _, n := range nodes {
		server := "stopped"
		switch {
		case n.Primary:
			server = "primary"
		case n.Streaming:
			server = "standby, streaming"
		case n.Answers:
			server = "standby, not streaming"
		case n.Running:
			server = "running, no answer"
		}
		t.Add(terminal.Text("%d", n.ID), terminal.Text("%d", n.Port), terminal.Text("%s %s", n.Pool, n.PoolRole),
			terminal.Text("%s", server), terminal.Text("%d", n.Timeline), terminal.Text("%s", n.LSN))
	}
	return t.Write(s.out, terminal.WantsColour(s.out))
}
