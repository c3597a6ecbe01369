package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/terminal"
	"github.com/repool/repool/lab"
)

type upOptions struct {
	lab                    lab.Options
	repool                 string // as --repool gives it
	debian, separate, bare bool
	hosts                  string
}

func newUpCommand(s streams) *cobra.Command {
	o := upOptions{lab: lab.Options{Hooks: true, Controller: true, Web: true, Keep: true, Log: s.err}}
	c := &cobra.Command{
		Use:   "up",
		Short: "Build the pool and leave it running",
		Long: `Builds the pool and prints how to connect. It runs until repool-lab down.

A site is a way in which other people's pools are built; several can be combined:
` + siteList() + `
EXIT STATUS
  0 it runs   1 it could not be built   2 wrong usage`,
		Example: "  repool-lab up --standbys 4 --debian\n  repool-lab up --site vip,tablespaces,wal-1mb",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.runUp(cmd.Context(), o) },
	}
	dirFlag(c, &o.lab.Dir)
	repoolFlag(c, &o.repool)
	f := c.Flags()
	f.IntVar(&o.lab.Standbys, "standbys", 2, "`number` of standbys")
	f.IntVar(&o.lab.Watchdog, "watchdog", 0, "`number` of Pgpool-IIs that watch each other")
	f.StringVar(&o.lab.SyncStandbys, "sync", "", "synchronous_standby_names, such as 'ANY 1 (*)'")
	f.BoolVar(&o.lab.Recovery, "recovery", false, "make pcp_recovery_node possible")
	f.StringSliceVar(&o.lab.Sites, "site", nil, "`names` of sites (see above), with commas")
	f.BoolVar(&o.debian, "debian", false, "Debian's layout: configuration outside the data directories")
	f.BoolVar(&o.separate, "agents", false, "run each node's agent as a process of its own")
	f.StringVar(&o.hosts, "hosts", "",
		"each node and Pgpool-II on a host of its own (root only), agents reached `over` ssh or tls")
	f.BoolVar(&o.bare, "bare", false, "only PostgreSQL and Pgpool-II, without repool")
	return c
}

// siteList is a line of help for each site.
func siteList() string {
	var b strings.Builder
	for _, s := range lab.Sites() {
		root := ""
		if s.Root {
			root = " (root only)"
		}
		fmt.Fprintf(&b, "  %-14s %s%s\n", s.Name, s.What, root)
	}
	return b.String()
}

func (s streams) runUp(ctx context.Context, o upOptions) (err error) {
	if o.bare {
		o.lab.Hooks, o.lab.Controller = false, false
	} else if o.lab.Repool, err = findRepool(o.repool); err != nil {
		return err
	}
	if o.debian {
		o.lab.Layout = lab.LayoutDebian
	}
	if o.separate {
		o.lab.Agents = lab.AgentsSeparate
	}
	if o.hosts != "" {
		o.lab.Hosts, o.lab.Agents = true, lab.AgentMode(o.hosts)
	}
	l, err := lab.Up(ctx, o.lab)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "The pool is running in %s.\n\n  psql '%s'\n  repool-lab status --dir %s\n",
		l.Dir, l.PoolConnString(), l.Dir)
	if err == nil && !o.bare {
		_, err = fmt.Fprintf(s.out, "  repool status --config %s\n  http://%s/\n", l.RepoolConf(), l.WebAddr)
	}
	return err
}
