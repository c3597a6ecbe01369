package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/admin/setup"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

const unitDir = "/etc/systemd/system"

type setupOptions struct {
	setup         setup.Options
	apply, dryRun bool // with neither, as with dryRun
	// undo puts back what setup did; removeState goes with it.
	undo, removeState bool
}

func newSetupCommand(g *globals) *cobra.Command {
	var o setupOptions
	c := &cobra.Command{
		Use:   "setup",
		Short: "Set up what check finds missing: role, rules, passwords, hooks, unit",
		Long: `Prints what has to be done beside an existing pool so that repool check finds no
problem, and with --apply does it: the database role with its grants (as the
superuser --admin-user), lines of pg_hba.conf on nodes of this machine, entries of
.pgpass and .pcppass, a user of PCP, lines of pgpool.conf, repool.yaml and the
systemd unit. Passwords are random and are written to those files only.

Every file is copied to <file>.repool-<time> before it is edited. Running it again
changes nothing. No PostgreSQL server is restarted and no node is touched; what
needs a restart, or a decision of yours, is only listed.

With --undo it shows what would put everything back, and with --apply does that: the
files and settings from before, the scripts, repool's settings in the primary's own
postgresql.auto.conf, its unused slots on every node, roles and grants. What somebody
has changed since stays, and so does what a standby still streams by; both are
listed. Stop repool first. What setup did is on record in <repool.yaml>.setup.json.

EXIT STATUS
  0 done, or the plan was shown   1 a step failed   2 wrong usage or configuration
  3 a hook that was to be switched to was tried as its user, and failed; or, with
    --undo, repool still runs`,
		Example: "  sudo repool setup\n  sudo repool setup --apply\n  sudo repool setup --apply --shims --recovery\n" +
			"  sudo repool setup --undo\n  sudo repool setup --undo --apply",
		Args: terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runSetup(cmd.Context(), o) },
	}
	f := c.Flags()
	f.BoolVar(&o.apply, "apply", false, "do it")
	f.BoolVar(&o.dryRun, "dry-run", false, "only show what would be done (the default)")
	f.BoolVar(&o.undo, "undo", false, "show what would put back what setup did; with --apply, do that")
	f.BoolVar(&o.removeState, "remove-state", false,
		"with --undo: also remove the controller's state and the nodes' work directories, unless they hold data")
	f.StringVar(&o.setup.AdminUser, "admin-user", "postgres", "superuser of PostgreSQL, a database `role`")
	f.StringVar(&o.setup.AdminHost, "admin-host", "",
		"`host` or socket directory for that user (default: the node's own socket, then its host)")
	f.StringVar(&o.setup.ServiceUser, "service-user", "",
		"`user` of this system that runs repool (default: Pgpool-II's, or yourself without root)")
	f.StringVar(&o.setup.Program, "program", "", "`path` of repool for hooks and unit (default: this program's)")
	f.StringVar(&o.setup.StateDir, "state-dir", "", "controller's state `directory`, for a new repool.yaml")
	f.StringVar(&o.setup.PGPass, "pgpass", "",
		"password `file` for PostgreSQL, for a new repool.yaml (default: ~/.pgpass of the service user)")
	f.StringVar(&o.setup.PCPPass, "pcppass", "",
		"password `file` for PCP, for a new repool.yaml (default: ~/.pcppass of the service user)")
	f.StringVar(&o.setup.PCPConf, "pcp-conf", "", "Pgpool-II's pcp.conf `file` (default: beside pgpool.conf)")
	f.BoolVar(&o.setup.Shims, "shims", false,
		"install failover.sh, follow_primary.sh and resync.sh, and have pgpool.conf call them")
	f.StringVar(&o.setup.ShimDir, "shim-dir", "", "`directory` for them (default: beside pgpool.conf)")
	f.BoolVar(&o.setup.Recovery, "recovery", false,
		"set up pcp_recovery_node: scripts in the data directories, extension, pgpool.conf")
	f.StringVar(&o.setup.UnitDir, "unit-dir", "auto",
		"`directory` for the systemd unit; empty for none (default: "+unitDir+" unless a package has installed one)")
	f.BoolVar(&o.setup.ResetPassword, "reset-password", false,
		"give existing roles a new password where the present one is not known")
	f.BoolVar(&o.setup.NoReload, "no-reload", false, "do not reload Pgpool-II")
	f.DurationVar(&o.setup.Timeout, "timeout", 5*time.Second, "longest `time` for each question")
	c.AddCommand(newPasswordCommand(g))
	return c
}

func (g *globals) runSetup(ctx context.Context, o setupOptions) error {
	if o.apply && o.dryRun {
		return exit.New(exit.Usage, "--apply and --dry-run exclude each other")
	}
	if o.removeState && !o.undo {
		return exit.New(exit.Usage, "--remove-state goes with --undo")
	}
	// Hooks and the unit are run from any directory: they need absolute paths.
	for _, path := range []*string{&g.configFile, &g.pgpoolConf} {
		if *path == "" {
			continue
		}
		whole, err := filepath.Abs(*path)
		if err != nil {
			return exit.With(exit.Usage, err)
		}
		*path = whole
	}
	l, err := config.LoadOrDefault(g.configFile, false, g.pgpoolConf)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	o.setup.Loaded, o.setup.ConfigFile = l, g.configFile
	if o.setup.UnitDir == "auto" {
		o.setup.UnitDir = wantedUnitDir()
	}
	var p *setup.Plan
	if o.undo {
		p, err = setup.Undo(ctx, o.setup, o.removeState)
	} else {
		p, err = setup.Make(ctx, o.setup)
	}
	if exit.Code(err) == exit.Refused {
		return err
	}
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	defer p.Close()
	if !o.apply {
		return g.showPlan(p)
	}
	told := func(i setup.Item) {
		if !g.json {
			fmt.Fprintln(g.out, doneLine(i))
		}
	}
	if err := p.Apply(ctx, told); err != nil {
		if exit.Code(err) == exit.Refused {
			return err
		}
		return exit.With(exit.Internal, err, "what was done before stays; fix the cause and run setup again")
	}
	if g.json {
		return terminal.PrintJSON(g.out, p)
	}
	return renderManual(g.out, p)
}

func (g *globals) showPlan(p *setup.Plan) error {
	if g.json {
		return terminal.PrintJSON(g.out, p)
	}
	if err := renderSetup(g.out, p, terminal.WantsColour(g.out)); err != nil {
		return err
	}
	if p.ToDo() > 0 {
		fmt.Fprintln(g.err, "nothing was done; add --apply to do it")
	}
	return renderManual(g.out, p)
}

// wantedUnitDir is empty where there is no systemd, or a unit from a package or from
// make install.
func wantedUnitDir() string {
	for _, dir := range []string{"/lib", "/usr/lib", "/usr/local/lib"} {
		if _, err := os.Stat(dir + "/systemd/system/repool.service"); err == nil {
			return ""
		}
	}
	if st, err := os.Stat(unitDir); err != nil || !st.IsDir() || os.Geteuid() != 0 {
		return ""
	}
	return unitDir
}

// renderSetup prints what would be done, in order.
func renderSetup(w io.Writer, p *setup.Plan, colour bool) error {
	var b strings.Builder
	n := 0
	for _, i := range p.Items {
		if i.Manual {
			continue
		}
		n++
		fmt.Fprintf(&b, "%d. %s: %s  (%s)\n", n, i.Subject, i.What, i.ID)
		if i.File != "" {
			fmt.Fprintf(&b, "   %s\n", i.File)
		}
		for _, l := range i.Lines {
			if paint := map[bool]string{true: terminal.Green, false: terminal.Red}[strings.HasPrefix(l, "+")]; colour {
				l = paint + l + terminal.Plain
			}
			fmt.Fprintf(&b, "     %s\n", l)
		}
		for _, s := range i.SQL {
			fmt.Fprintf(&b, "     %s;\n", s)
		}
	}
	if n == 0 {
		b.WriteString("nothing to do\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// renderManual prints what is left to a person.
func renderManual(w io.Writer, p *setup.Plan) error {
	var b strings.Builder
	for _, i := range p.Items {
		if !i.Manual {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("\nleft to you:\n")
		}
		fmt.Fprintf(&b, "  %s: %s  (%s)\n", i.Subject, i.What, i.ID)
		for _, l := range i.Lines {
			fmt.Fprintf(&b, "    %s\n", l)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func doneLine(i setup.Item) string {
	line := fmt.Sprintf("done: %s: %s", i.Subject, i.What)
	if i.File != "" {
		line += "\n      " + i.File
	}
	if i.Backup != "" {
		line += " (before: " + i.Backup + ")"
	}
	return line
}
