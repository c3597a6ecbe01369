package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

// defaultCertsDir is where an authority of one's own is kept.
const defaultCertsDir = "/etc/repool/certs"

func newCertsCommand(g *globals) *cobra.Command {
	return terminal.Family(&cobra.Command{
		Use:   "certs",
		Short: "Make and look at certificates for agents over TLS",
		Long: `A small authority for those who have none: controllers and agents know each other
by its certificates. Those of another authority work as well: name their files
in the tls section of repool.yaml.

Keep the authority's directory on one host, away from the database hosts: whoever
has ca.key can make themselves a controller. To each host go ca.crt and its own two
files; the key with mode 600, owned by the user that runs repool.

EXIT STATUS
  0 done   1 it could not be done   2 wrong arguments   6 show: expired, or soon to be`,
		Example: `  repool certs init
  repool certs issue pgpool1 --controller
  repool certs issue db1 --host 10.0.0.11
  repool certs renew /etc/repool/certs/db1.crt
  repool certs show /etc/repool/certs/*.crt`,
	}, newCertsInitCommand(g), newCertsIssueCommand(g), newCertsRenewCommand(g), newCertsShowCommand(g))
}

// certFlags are the flags of every command that makes a certificate.
type certFlags struct {
	dir  string
	days int // zero: only for renew, as many as before
}

func (f *certFlags) add(c *cobra.Command, days int, what string) {
	c.Flags().StringVar(&f.dir, "dir", defaultCertsDir, "`directory` of the authority")
	c.Flags().IntVar(&f.days, "days", days, what)
}

func (f *certFlags) life() (time.Duration, error) {
	if f.days < 0 || f.days > 36500 {
		return 0, exit.New(exit.Usage, "--days: %d is not from 1 to 36500", f.days)
	}
	return time.Duration(f.days) * 24 * time.Hour, nil
}

// certMade prints what has been made.
func (g *globals) certMade(p certs.Paths, err error, next string) error {
	if err != nil {
		return err
	}
	c, err := certs.Read(p.Cert)
	if err != nil {
		return err
	}
	if g.json {
		return terminal.PrintJSON(g.out, map[string]any{
			"cert": p.Cert, "key": p.Key, "name": c.Subject.CommonName, "not_after": c.NotAfter})
	}
	_, err = fmt.Fprintf(g.out, "made %s and %s, good until %s\n%s\n",
		p.Cert, p.Key, c.NotAfter.UTC().Format(time.DateOnly), next)
	return err
}
