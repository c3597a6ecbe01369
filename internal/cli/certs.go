package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

// defaultCertsDir is where an authority of one's own is kept.
const defaultCertsDir = "/etc/repool/certs"

func newCerts(g *globals) *cobra.Command {
	c := terminal.Family(&cobra.Command{
		Use:   "certs",
		Short: "Make and look at certificates for agents over TLS",
		Long: `A small authority for those who have none: controllers and agents know each other
by its certificates. Certificates of another authority do as well: name their files
in the tls section of repool.yaml.

Keep the authority's directory on one host, away from the database hosts: whoever
has ca.key can make himself a controller. To each host go ca.crt and its own two
files; the key with mode 600, owned by the user that runs repool.

EXIT STATUS
  0 done   1 it could not be done   2 wrong arguments   6 show: expired, or soon to be`,
		Example: `  repool certs init
  repool certs issue pgpool1 --controller
  repool certs issue db1 --host 10.0.0.11
  repool certs renew /etc/repool/certs/db1.crt
  repool certs show /etc/repool/certs/*.crt`,
	})
	c.AddCommand(newCertsInit(g), newCertsIssue(g), newCertsRenew(g), newCertsShow(g))
	return c
}

// certFlags are what the commands that make something share.
type certFlags struct {
	dir  string
	days int
}

func (f *certFlags) add(c *cobra.Command, days int, what string) {
	c.Flags().StringVar(&f.dir, "dir", defaultCertsDir, "`directory` of the authority")
	c.Flags().IntVar(&f.days, "days", days, what)
}

func (f *certFlags) life() (time.Duration, error) {
	if f.days < 0 || f.days > 36500 {
		return 0, exit.New(exit.Usage, "--days %d: want 1 to 36500", f.days)
	}
	return time.Duration(f.days) * 24 * time.Hour, nil
}

func newCertsInit(g *globals) *cobra.Command {
	var f certFlags
	name := "repool"
	c := &cobra.Command{
		Use: "init", Short: "Make an authority", Args: terminal.Args,
		Long:    "Makes ca.crt and ca.key. An authority that is there is never replaced.\n\nEXIT STATUS\n  0 done   1 it could not be done   2 wrong arguments",
		Example: "  repool certs init --dir /root/repool-ca",
		RunE: func(*cobra.Command, []string) error {
			life, err := f.life()
			if err != nil {
				return err
			}
			p, err := certs.Init(f.dir, name, life)
			return g.certMade(p, err, "ca.crt goes to every host, ca.key to none.")
		},
	}
	f.add(c, 3650, "`days` until it expires")
	c.Flags().StringVar(&name, "name", name, "the authority's `name`")
	return c
}

func newCertsIssue(g *globals) *cobra.Command {
	var f certFlags
	var hosts []string
	var controller bool
	c := &cobra.Command{
		Use: "issue NAME", Short: "Make a host's certificate", Args: terminal.Args,
		Long: `Makes NAME.crt and NAME.key in the authority's directory: an agent's, or with
--controller a controller's. NAME is what agents' configuration lists under
agent.controllers, or the host by which controllers reach the agent.

EXIT STATUS
  0 done   1 it could not be done   2 wrong arguments`,
		Example: "  repool certs issue db1 --host db1.example.org --host 10.0.0.11\n  repool certs issue pgpool1 --controller",
		RunE: func(_ *cobra.Command, args []string) error {
			life, err := f.life()
			if err != nil {
				return err
			}
			r := certs.Request{Role: certs.Agent, Name: args[0], Hosts: hosts, Life: life}
			where := "the agent's host"
			if controller {
				r.Role, where = certs.Controller, "the controller's host"
			}
			p, err := certs.Issue(f.dir, r)
			return g.certMade(p, err, "Both files and ca.crt go to "+where+".")
		},
	}
	f.add(c, 365, "`days` until it expires")
	c.Flags().StringSliceVar(&hosts, "host", nil, "another `name` or address by which the agent is reached; may be repeated")
	c.Flags().BoolVar(&controller, "controller", false, "a controller's certificate: one that may give orders")
	return c
}

func newCertsRenew(g *globals) *cobra.Command {
	var f certFlags
	c := &cobra.Command{
		Use: "renew FILE", Short: "Make a certificate anew, with another key", Args: terminal.Args,
		Long: `Makes the certificate anew for the same names and the same time, and its key
beside it. Copy both to their host; neither agent nor controller needs a restart.

EXIT STATUS
  0 done   1 it could not be done   2 wrong arguments`,
		Example: "  repool certs renew /etc/repool/certs/db1.crt",
		RunE: func(_ *cobra.Command, args []string) error {
			life, err := f.life()
			if err != nil {
				return err
			}
			p, err := certs.Renew(f.dir, args[0], life)
			return g.certMade(p, err, "Both files go to their host.")
		},
	}
	f.add(c, 0, "`days` until it expires (default: as many as before)")
	return c
}

// certMade tells what has been made.
func (g *globals) certMade(p certs.Paths, err error, next string) error {
	if err != nil {
		return err
	}
	c, err := certs.Read(p.Cert)
	if err != nil {
		return err
	}
	if g.json {
		return terminal.PrintJSON(g.out, map[string]any{"cert": p.Cert, "key": p.Key, "name": c.Subject.CommonName, "not_after": c.NotAfter})
	}
	_, err = fmt.Fprintf(g.out, "made %s and %s, good until %s\n%s\n", p.Cert, p.Key, c.NotAfter.UTC().Format(time.DateOnly), next)
	return err
}

// shownCert is one line of `repool certs show`.
type shownCert struct {
	Path     string    `json:"path"`
	Name     string    `json:"name"`
	Names    []string  `json:"names"`
	Use      string    `json:"use"`
	NotAfter time.Time `json:"not_after"`
	Days     int       `json:"days"`
	State    string    `json:"state"` // ok, soon, expired
}

func newCertsShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show [FILE…]", Short: "Say whose certificates these are, and when they end",
		Long: `Without files: those that the tls section of repool.yaml names.

EXIT STATUS
  0 all good for a month and more   1 one cannot be read
  2 wrong arguments or configuration   6 one has expired, or will within a month`,
		Example: "  repool certs show\n  repool certs show /etc/repool/certs/*.crt --json",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				var err error
				if args, err = g.configuredCerts(); err != nil {
					return err
				}
			}
			return g.showCerts(args, time.Now())
		},
	}
}

func (g *globals) configuredCerts() ([]string, error) {
	l, err := config.LoadOrDefault(g.configFile, g.configFile != "", g.pgpoolConf)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	t := l.Config.TLS
	if !t.Set() {
		return nil, exit.New(exit.Usage, "repool.yaml has no tls section: name the files")
	}
	return []string{t.Cert, t.CA}, nil
}

func (g *globals) showCerts(paths []string, now time.Time) error {
	var list []shownCert
	bad := 0
	for _, path := range paths {
		c, err := certs.Read(path)
		if err != nil {
			return err
		}
		names := append([]string(nil), c.DNSNames...)
		for _, ip := range c.IPAddresses {
			names = append(names, ip.String())
		}
		s := shownCert{Path: path, Name: c.Subject.CommonName, Names: names, Use: certs.Use(c), NotAfter: c.NotAfter,
			Days: int(c.NotAfter.Sub(now).Hours() / 24), State: string(certs.StateAt(c.NotAfter, now))}
		if s.State != string(certs.Good) {
			bad++
		}
		list = append(list, s)
	}
	if g.json {
		if err := terminal.PrintJSON(g.out, list); err != nil {
			return err
		}
	} else {
		t := terminal.Table{Head: []string{"name", "for", "use", "expires", "in days", "state", "file"}}
		for _, s := range list {
			t.Add(terminal.Text("%s", s.Name), terminal.Text("%s", strings.Join(s.Names, " ")), terminal.Text("%s", s.Use), terminal.Text("%s", s.NotAfter.UTC().Format(time.DateOnly)), terminal.Text("%d", s.Days), terminal.Text("%s", s.State), terminal.Text("%s", s.Path))
		}
		if err := t.Write(g.out, terminal.WantsColour(g.out)); err != nil {
			return err
		}
	}
	if bad > 0 {
		return exit.With(exit.Problems, fmt.Errorf("%s expired, or will within a month", terminal.Count(bad, "certificate")), "repool certs renew makes them anew")
	}
	return nil
}
