package lab

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Site is one way in which an existing pool differs from the lab's own. Sites can be combined, as far as they do not
// exclude each other. Each function is optional.
type Site struct {
	Name string
	// What says in a few words what differs.
	What string
	// Root: only root can build it.
	Root bool
	// Excludes are the names of sites that it cannot be combined with.
	Excludes []string

	options func(o *Options)
	initdb  []string
	// place may change where a node lies and by which host name it is known.
	place func(l *Lab, n *Node)
	// settings changes the node's postgresql.conf.
	settings func(l *Lab, n Node, s map[string]string)
	// hba changes the text of pg_hba.conf.
	hba func(rules string) string
	// upstream is the host in the primary_conninfo of up's standbys.
	upstream func(l *Lab, up Node) string
	// pgpool are lines for pgpool.conf.
	pgpool func(l *Lab) map[string]string
	// start are options for pg_ctl -o.
	start func(n Node) string
	// home works on a node's home before there is a data directory.
	home func(l *Lab, n Node) error
	// data works on a node's data directory before its first start: on the primary's once its databases are there,
	// on a standby's once it is a copy of the primary's.
	data func(ctx context.Context, l *Lab, n Node) error
	// beside starts what runs beside a node, once the pool is whole.
	beside func(l *Lab, n Node) error
}

// Sites is the table of all sites.
func Sites() []Site {
	return []Site{
		localhostSite, vipSite, socketsSite, tlsSite,
		debianSite, splitConfigSite, startOptionsSite, supervisedSite,
		walLinkSite, logLinkSite, tablespacesSite, mountSite, oddFilesSite, utf8Site,
		wal1Site, wal64Site,
	}
}

// fillSites checks the names, and lets each site change the options.
func (o *Options) fillSites() error {
	sites, err := sitesNamed(o.Sites)
	if err != nil {
		return err
	}
	for _, s := range sites {
		for _, other := range s.Excludes {
			if slices.Contains(o.Sites, other) {
				return fmt.Errorf("sites %s and %s exclude each other", s.Name, other)
			}
		}
		if s.Root && os.Geteuid() != 0 {
			return fmt.Errorf("site %s needs root", s.Name)
		}
		if s.options != nil {
			s.options(o)
		}
	}
	if len(sites) > 0 && o.Hosts {
		return fmt.Errorf("sites are on one host: they exclude hosts of their own")
	}
	return nil
}

func sitesNamed(names []string) ([]Site, error) {
	all := Sites()
	var out []Site
	for _, name := range names {
		i := slices.IndexFunc(all, func(s Site) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("site %q is unknown; the sites are %s", name, strings.Join(SiteNames(), ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

// SiteNames are the names of all sites.
func SiteNames() []string {
	var out []string
	for _, s := range Sites() {
		out = append(out, s.Name)
	}
	return out
}

// sites are those of this lab.
func (l *Lab) sites() []Site {
	sites, _ := sitesNamed(l.opts.Sites) // fillSites has checked the names
	return sites
}

// upstreamHost is the host by which standbys reach up.
func (l *Lab) upstreamHost(up Node) string {
	host := up.Host
	for _, s := range l.sites() {
		if s.upstream != nil {
			host = s.upstream(l, up)
		}
	}
	return host
}

// startOptions are the options that go to pg_ctl -o.
func (l *Lab) startOptions(n Node) string {
	var out []string
	if l.opts.Layout == LayoutDebian {
		out = append(out, fmt.Sprintf("-c config_file=%q", n.ConfigFile()))
	}
	for _, s := range l.sites() {
		if s.start != nil {
			out = append(out, s.start(n))
		}
	}
	return strings.Join(out, " ")
}

// siteData does the sites' work on a data directory.
func (l *Lab) siteData(ctx context.Context, n Node) error {
	for _, s := range l.sites() {
		if s.data == nil {
			continue
		}
		if err := s.data(ctx, l, n); err != nil {
			return fmt.Errorf("site %s, %s: %w", s.Name, n.Name, err)
		}
	}
	return nil
}

// startBeside starts what runs beside the nodes.
func (l *Lab) startBeside(context.Context) error {
	for _, s := range l.sites() {
		if s.beside == nil {
			continue
		}
		for _, n := range l.Nodes {
			if err := s.beside(l, n); err != nil {
				return fmt.Errorf("site %s, %s: %w", s.Name, n.Name, err)
			}
		}
	}
	return nil
}
