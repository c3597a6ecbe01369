package cli

import (
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/terminal"
)

type certsInitOptions struct {
	certFlags
	name string
}

func newCertsInitCommand(g *globals) *cobra.Command {
	var o certsInitOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Make an authority",
		Long: `Makes ca.crt and ca.key. An existing authority is never replaced.

EXIT STATUS
  0 done   1 it could not be done   2 wrong arguments`,
		Example: "  repool certs init --dir /root/repool-ca",
		Args:    terminal.Args,
		RunE:    func(*cobra.Command, []string) error { return g.runCertsInit(o) },
	}
	o.add(c, 3650, "`days` until it expires")
	c.Flags().StringVar(&o.name, "name", "repool", "the authority's `name`")
	return c
}

func (g *globals) runCertsInit(o certsInitOptions) error {
	life, err := o.life()
	if err != nil {
		return err
	}
	p, err := certs.Init(o.dir, o.name, life)
	return g.certMade(p, err, "ca.crt goes to every host, ca.key to none.")
}
