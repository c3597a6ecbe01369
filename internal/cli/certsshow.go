package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

func newCertsShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show [FILE…]",
		Short: "Show certificates: for whom they are, and when they expire",
		Long: `Without files: those that the tls section of repool.yaml names.

EXIT STATUS
  0 all good for a month and more   1 one cannot be read
  2 wrong arguments or configuration   6 one has expired, or will within a month`,
		Example: "  repool certs show\n  repool certs show /etc/repool/certs/*.crt --json",
		Args:    terminal.Args,
		RunE:    func(_ *cobra.Command, files []string) error { return g.runCertsShow(files, time.Now()) },
	}
}

// shownCert is one certificate as `repool certs show` prints it.
type shownCert struct {
	Path     string    `json:"path"`
	Name     string    `json:"name"`
	Names    []string  `json:"names"`
	Use      string    `json:"use"`
	NotAfter time.Time `json:"not_after"`
	Days     int       `json:"days"`
	State    string    `json:"state"` // ok, soon, expired
}

func (g *globals) runCertsShow(paths []string, now time.Time) error {
	if len(paths) == 0 {
		var err error
		if paths, err = g.configuredCerts(); err != nil {
			return err
		}
	}
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
			t.Add(terminal.Text("%s", s.Name), terminal.Text("%s", strings.Join(s.Names, " ")), terminal.Text("%s", s.Use),
				terminal.Text("%s", s.NotAfter.UTC().Format(time.DateOnly)), terminal.Text("%d", s.Days),
				terminal.Text("%s", s.State), terminal.Text("%s", s.Path))
		}
		if err := t.Write(g.out, terminal.WantsColour(g.out)); err != nil {
			return err
		}
	}
	if bad > 0 {
		return exit.With(exit.Problems, fmt.Errorf("%s expired, or expires within a month",
			terminal.Count(bad, "certificate")),
			"repool certs renew replaces them")
	}
	return nil
}

// configuredCerts are the files that the tls section names.
func (g *globals) configuredCerts() ([]string, error) {
	l, err := g.load()
	if err != nil {
		return nil, err
	}
	t := l.Config.TLS
	if !t.Set() {
		return nil, exit.New(exit.Usage, "repool.yaml has no tls section: name the files")
	}
	return []string{t.Cert, t.CA}, nil
}
