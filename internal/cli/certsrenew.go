package cli

import (
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/terminal"
)

type certsRenewOptions struct {
	certFlags
	file string
}

func newCertsRenewCommand(g *globals) *cobra.Command {
	var o certsRenewOptions
	c := &cobra.Command{
		Use:   "renew FILE",
		Short: "Replace a certificate by a new one, with a new key",
		Long: `Issues the certificate again for the same names and the same time, and its key
beside it. Copy both to their host; neither agent nor controller needs a restart.

EXIT STATUS
  0 done   1 it could not be done   2 wrong arguments`,
		Example: "  repool certs renew /etc/repool/certs/db1.crt",
		Args:    terminal.Args,
		RunE: func(_ *cobra.Command, args []string) error {
			o.file = args[0]
			return g.runCertsRenew(o)
		},
	}
	o.add(c, 0, "`days` until it expires (default: as many as before)")
	return c
}

func (g *globals) runCertsRenew(o certsRenewOptions) error {
	life, err := o.life()
	if err != nil {
		return err
	}
	p, err := certs.Renew(o.dir, o.file, life)
	return g.certMade(p, err, "Both files go to their host.")
}
