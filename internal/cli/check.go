package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

type checkOptions struct {
	all     bool
	timeout time.Duration
}

func newCheckCommand(g *globals) *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use:   "check",
		Short: "Find what would stop a resync, before one is needed",
		Long: `Looks at pgpool.conf, PCP, every node and the data directories on this machine,
and lists what would stop a resync or make it slow, each with its remedy. Changes
nothing. Run it as the user that runs repool, so that it may read what repool may.

A problem stops a resync or makes Pgpool-II work against it; a warning makes one
slower, or matters in some failures only. repool setup makes what is missing.

EXIT STATUS
  0 no problem   2 wrong configuration   6 problems were found`,
		Example: "  sudo -u postgres repool check\n" +
			"  repool check --json | jq '.findings[] | select(.severity != \"ok\") | {id, subject, remedy}'",
		Args: terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runCheck(cmd.Context(), o) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "also list what is right")
	c.Flags().DurationVar(&o.timeout, "timeout", 5*time.Second, "longest `time` for each question")
	return c
}

func (g *globals) runCheck(ctx context.Context, o checkOptions) error {
	f, err := g.facts(ctx, o.timeout)
	if err != nil {
		return err
	}
	rep := check.Run(f)
	if g.json {
		err = terminal.PrintJSON(g.out, rep)
	} else {
		err = renderCheck(g.out, rep, o.all, terminal.WantsColour(g.out))
	}
	if err != nil {
		return err
	}
	if rep.Problems > 0 {
		return exit.With(exit.Problems, fmt.Errorf("%s found", terminal.Count(rep.Problems, "problem")),
			"repool setup shows what it would do about them")
	}
	return nil
}

// facts gathers for check, from the configuration files that the flags name.
func (g *globals) facts(ctx context.Context, timeout time.Duration) (*check.Facts, error) {
	l, err := g.load()
	if err != nil {
		return nil, err
	}
	p, err := l.ResolveForHook()
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	// Asks the agent of a node that is not in this process.
	inspect := func(ctx context.Context, n config.NodeConf) (topology.Inspection, error) {
		return app.Inspect(ctx, p, &n)
	}
	f, err := check.Gather(ctx, check.Options{Loaded: l, Timeout: timeout, Inspect: inspect})
	return f, exit.With(exit.Usage, err)
}

var severityColours = map[check.Severity]string{
	check.Problem: terminal.Red, check.Warning: terminal.Yellow, check.OK: terminal.Green,
}

// renderCheck prints findings for a person, the worst first.
func renderCheck(w io.Writer, rep check.Report, all, colour bool) error {
	var b strings.Builder
	good := 0
	for _, f := range rep.Findings {
		if f.Severity == check.OK && !all {
			good++
			continue
		}
		head := string(f.Severity)
		if colour {
			head = severityColours[f.Severity] + head + terminal.Plain
		}
		fmt.Fprintf(&b, "%s  %s  (%s)\n", head, f.Subject, f.ID)
		fmt.Fprintf(&b, "  %s\n", f.Found)
		if f.At != "" {
			fmt.Fprintf(&b, "  at %s\n", f.At)
		}
		if f.Severity != check.OK {
			fmt.Fprintf(&b, "  why: %s\n", f.Why)
		}
		if f.Remedy != "" {
			fmt.Fprintf(&b, "  → %s\n", f.Remedy)
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s, %s", terminal.Count(rep.Problems, "problem"), terminal.Count(rep.Warnings, "warning"))
	if good > 0 {
		fmt.Fprintf(&b, ", %d things in order (--all lists them)", good)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
