package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/demo"
)

type demoOptions struct {
	repool                    string // as --repool gives it
	json, keep, debian, hosts bool
}

func newDemoCommand(s streams) *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on a real pool",
		Long: `Builds a real pool under one temporary directory (one primary, two standbys,
Pgpool-II, repool), lets a client write through Pgpool-II, and does five bad things
to it, one after the other. It tells what happens with seconds, bytes and the
reason of each decision, and ends with the proof: all nodes attached, the copies
compared row by row, every acknowledged row present or listed by a vault.

Needs the Debian packages postgresql-15 and pgpool2, and with --hosts openssh-server,
iproute2 and nftables; touches nothing else.

EXIT STATUS
  0 every promise was kept   1 it could not be played   6 a promise was not kept`,
		Example: "  repool-lab demo\n  repool-lab demo --json | jq '.acts[] | {title, method, seconds, bytes}'\n" +
			"  repool-lab demo --keep\n  repool-lab demo --hosts",
		Args: terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.runDemo(cmd.Context(), o) },
	}
	repoolFlag(c, &o.repool)
	jsonFlag(c, &o.json)
	f := c.Flags()
	f.BoolVar(&o.keep, "keep", false, "leave the pool running and say how to connect")
	f.BoolVar(&o.debian, "debian", false, "use Debian's layout: configuration outside the data directories")
	f.BoolVar(&o.hosts, "hosts", false, "each node on a host of its own (a network namespace; root only): "+
		"over ssh, then over TLS, with an act in which the network fails")
	return c
}

func (s streams) runDemo(ctx context.Context, o demoOptions) error {
	bin, err := findRepool(o.repool)
	if err != nil {
		return err
	}
	d := demo.Options{Repool: bin, Out: s.out, Colour: terminal.WantsColour(s.out), Keep: o.keep}
	if o.json {
		d.Out = nil
	}
	if o.debian {
		d.Layout = lab.LayoutDebian
	}
	if !o.hosts {
		r, err := demo.Run(ctx, d)
		return s.endDemo(o, err, r, r)
	}
	var reports []demo.Report
	for _, over := range []lab.AgentMode{lab.AgentsSSH, lab.AgentsTLS} {
		d.Over = over
		r, rerr := demo.Run(ctx, d)
		reports = append(reports, r)
		if err = rerr; err != nil {
			break
		}
	}
	return s.endDemo(o, err, reports, reports...)
}

// endDemo prints what was played as JSON, where that was asked for, and judges it.
func (s streams) endDemo(o demoOptions, err error, shown any, played ...demo.Report) error {
	if o.json {
		if jerr := terminal.PrintJSON(s.out, shown); jerr != nil {
			return jerr
		}
	}
	if err != nil {
		return err
	}
	for _, r := range played {
		if !r.OK {
			return exit.New(exit.Problems, "a promise was not kept: see the summary")
		}
	}
	return nil
}
