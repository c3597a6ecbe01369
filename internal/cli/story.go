package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

func newHistoryShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show RUN|last",
		Short: "Tell one failure as a story, from its first sign to the attach",
		Long: `Finds the failure that a run belongs to, and tells it: the first sign, each
decision with its evidence, why no cheaper method was chosen, every step with its
time, what was moved and what went to the vault, and the attach. Other runs for
the same failure are part of it.

EXIT STATUS
  0 told   2 there is no such run   4 no history can be read`,
		Example: "  repool history show last\n  repool history show 20260501T030201.123-n1-rewind-4 --json",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := g.pool()
			if err != nil {
				return err
			}
			s, err := tellRun(cmd.Context(), p, args[0])
			if none := (view.ErrNoSuchRun{}); errors.As(err, &none) {
				return exit.With(exit.Usage, err, "repool history --kind run --json names the runs")
			}
			if err != nil {
				return exit.With(exit.Unreachable, err, noHistoryHint)
			}
			if g.json {
				return terminal.PrintJSON(g.out, s)
			}
			return renderStory(g.out, s, terminal.WantsColour(g.out))
		},
	}
}

// tellRun finds a run's story; "last" is the run that ended or began last.
func tellRun(ctx context.Context, p *config.Pool, run string) (view.Story, error) {
	list := func(f event.Filter) ([]event.Event, error) {
		return readHistory(ctx, p.Controller.Socket, p.Controller.StateDir, f)
	}
	if run == "last" {
		runs, err := list(event.Filter{Kind: "run", Limit: 50})
		if err != nil {
			return view.Story{}, err
		}
		for _, e := range runs {
			if e.Run != "" {
				run = e.Run
			}
		}
	}
	return view.Find(run, list)
}

var toneColours = map[view.Tone]string{
	view.Good: terminal.Green, view.Busy: terminal.Yellow, view.Bad: terminal.Red, view.Quiet: terminal.Faint,
}

// renderStory prints each part with its time of day, and how long after the
// first sign it was.
func renderStory(w io.Writer, s view.Story, colour bool) error {
	var b strings.Builder
	began := terminal.Paint(colour, terminal.Faint, "first sign "+s.From.Local().Format("2006-01-02 15:04:05.000"))
	fmt.Fprintf(&b, "%s\n%s\n", s.Summary, began)
	for _, p := range s.Parts {
		what := terminal.Paint(colour, toneColours[p.Tone], p.Kind+" "+p.Code)
		fmt.Fprintf(&b, "\n%s  %9s  %s  %s\n", p.At.Local().Format("15:04:05.000"), p.After, p.Subject, what)
		fmt.Fprintf(&b, "    %s\n", terminal.Indent(p.Text, "    "))
		for _, e := range p.Evidence {
			fmt.Fprintf(&b, "    · %s\n", terminal.Indent(e, "      "))
		}
		for _, r := range p.Rejected {
			fmt.Fprintf(&b, "    not %s: %s\n", r.Method, terminal.Indent(r.Why, "      "))
		}
		if p.Estimate != "" {
			fmt.Fprintf(&b, "    estimate: %s\n", p.Estimate)
		}
		for i, st := range p.Steps {
			fmt.Fprintf(&b, "    %3d  %9s  %s", i+1, view.Took(st.Took), st.Name)
			for _, more := range []string{st.Note, st.Error} {
				if more != "" {
					fmt.Fprintf(&b, ": %s", more)
				}
			}
			b.WriteString("\n")
		}
	}
	for _, v := range s.Vaults {
		fmt.Fprintf(&b, "\nvault: %s\n  → repool vault report %s %s\n", v.Path, v.Node, v.ID)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
