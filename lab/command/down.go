package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
	"github.com/repool/repool/lab"
)

type downOptions struct {
	dir  string
	keep bool
}

func newDownCommand(streams) *cobra.Command {
	var o downOptions
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop everything in the lab and remove it",
		Long: `Stops every process of the lab and removes its directory, and nothing else.

EXIT STATUS
  0 gone   1 something could not be stopped   2 no lab there`,
		Example: "  repool-lab down --dir /tmp/lab",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDown(cmd.Context(), o) },
	}
	dirFlag(c, &o.dir)
	c.Flags().BoolVar(&o.keep, "keep", false, "leave the directory with its logs")
	return c
}

func runDown(ctx context.Context, o downOptions) error {
	l, err := lab.Open(o.dir)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if err := l.Down(ctx); err != nil || o.keep {
		return err
	}
	return l.Remove()
}
