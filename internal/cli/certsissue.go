package cli

import (
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/terminal"
)

type certsIssueOptions struct {
	certFlags
	name       string
	hosts      []string
	controller bool
}

func newCertsIssueCommand(g *globals) *cobra.Command {
	var o certsIssueOptions
	c := &cobra.Command{
		Use:   "issue NAME",
		Short: "Make a host's certificate",
		Long: `Makes NAME.crt and NAME.key in the authority's directory: an agent's, or with
--controller a controller's. NAME is what agents' configuration lists under
agent.controllers, or the host by which controllers reach the agent.

EXIT STATUS
  0 done   1 it could not be done   2 wrong arguments`,
		Example: "  repool certs issue db1 --host db1.example.org --host 10.0.0.11\n" +
			"  repool certs issue pgpool1 --controller",
		Args: terminal.Args,
		RunE: func(_ *cobra.Command, args []string) error {
			o.name = args[0]
			return g.runCertsIssue(o)
		},
	}
	o.add(c, 365, "`days` until it expires")
	c.Flags().StringSliceVar(&o.hosts, "host", nil,
		"another `name` or address by which the agent is reached; may be repeated")
	c.Flags().BoolVar(&o.controller, "controller", false, "a controller's certificate: one that may give orders")
	return c
}

func (g *globals) runCertsIssue(o certsIssueOptions) error {
	life, err := o.life()
	if err != nil {
		return err
	}
	r := certs.Request{Role: certs.Agent, Name: o.name, Hosts: o.hosts, Life: life}
	where := "the agent's host"
	if o.controller {
		r.Role, where = certs.Controller, "the controller's host"
	}
	p, err := certs.Issue(o.dir, r)
	return g.certMade(p, err, "Both files and ca.crt go to "+where+".")
}
