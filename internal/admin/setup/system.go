package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/packaging"
)

// stateDir creates the controller's state directory.
func (m *maker) stateDir(context.Context) error {
	if !m.bad("state-directory", "") {
		return nil
	}
	dir := m.facts.Pool.Controller.StateDir
	m.handled["state-directory"] = true
	m.add(Item{ID: "state-directory", Subject: "controller", What: "create the state directory for " + m.own.name,
		File: dir, Lines: []string{"+ " + dir + "/"},
		do: func(_ context.Context, i *Item) error {
			dirs := missingParents(dir)
			if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
				dirs = append(dirs, dir)
			}
			err := m.record.add(&entry{ID: i.ID, Dirs: dirs})
			if err == nil {
				err = makeParents(dir)
			}
			if err == nil {
				err = os.Mkdir(dir, 0o700)
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			return errors.Join(os.Chmod(dir, 0o700), m.own.take(dir))
		}})
	return nil
}

// configPath is the --config that hooks need; empty: the default.
func (m *maker) configPath() string {
	if m.facts.Pool.File == config.DefaultPath {
		return ""
	}
	return m.facts.Pool.File
}

func (m *maker) shimLine(name string) string {
	return filepath.Join(m.o.ShimDir, name) + " " + hook.KeyValueForm
}

// shims installs the older script names beside pgpool.conf, and those of online
// recovery in the data directories on this machine.
func (m *maker) shims(context.Context) error {
	var hooks, data []string
	if m.o.Shims {
		hooks = []string{m.o.ShimDir}
	}
	if m.o.Recovery {
		data = m.recoveryDirs()
	}
	changes, err := hook.PlanShims(hooks, data, m.facts.Program, m.configPath())
	if err != nil {
		return err
	}
	m.handled["recovery-scripts"] = m.o.Recovery
	if len(changes) == 0 {
		return nil
	}
	var lines []string
	for _, c := range changes {
		lines = append(lines, "+ "+c.Path)
	}
	m.add(Item{ID: "shims", Subject: pgpoolSubject, What: "install scripts under the older names that call repool",
		Lines: lines,
		do: func(ctx context.Context, i *Item) error {
			if err := m.tryProgram(ctx, data); err != nil { // before an older script makes way
				return err
			}
			if err := m.record.add(&entry{ID: i.ID, ShimDirs: append(hooks, data...)}); err != nil {
				return err
			}
			done, err := hook.InstallShims(hooks, data, m.facts.Program, m.configPath())
			for _, c := range done {
				if c.Backup != "" {
					i.Backup = c.Backup
				}
			}
			return err
		}})
	return nil
}

// firstStage is the script that pgpool.conf names for online recovery.
const firstStage = "recovery_1st_stage.sh"

// recovery sets up what pcp_recovery_node needs on the primary.
func (m *maker) recovery(ctx context.Context) error {
	if !m.o.Recovery {
		return nil
	}
	r := m.facts.Pool.Pgpool.Recovery
	if !hook.IsDataShim(r.FirstStage) {
		m.set("recovery_1st_stage_command", firstStage)
	}
	if r.SecondStage != "" && !hook.IsDataShim(r.SecondStage) {
		m.set("recovery_2nd_stage_command", "recovery_2nd_stage.sh")
	}
	if r.User == "" {
		m.manual("recovery-user", pgpoolSubject,
			"online recovery needs a superuser: set recovery_user and recovery_password in pgpool.conf")
	}
	p := m.facts.Primary()
	if p == nil {
		return nil
	}
	conn, err := m.dial(ctx, p.Conf, r.Database)
	if err != nil {
		m.manual("recovery-extension", p.Subject(),
			"CREATE EXTENSION pgpool_recovery in database %s (it could not be reached as %s)", r.Database, m.o.AdminUser)
		return nil
	}
	defer func() { _ = conn.Close(ctx) }()
	var there, possible bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgpool_recovery'),
	       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgpool_recovery')`).
		Scan(&there, &possible); err != nil {
		return fmt.Errorf("look for the extension pgpool_recovery: %w", err)
	}
	switch {
	case there:
	case !possible:
		m.manual("recovery-extension", p.Subject(),
			"install the package with the extension pgpool_recovery (Debian: postgresql-%d-pgpool2) on every node's machine",
			p.SQL.Version/10000)
	default:
		m.add(Item{ID: "recovery-extension", Subject: p.Subject(),
			What: "create the functions of online recovery in database " + r.Database,
			SQL:  []string{"CREATE EXTENSION pgpool_recovery"},
			do: func(ctx context.Context, i *Item) error {
				conn, err := m.dial(ctx, p.Conf, r.Database)
				if err == nil {
					err = m.record.add(&entry{ID: i.ID, SQL: &sqlChange{DB: r.Database,
						Undo: []string{"DROP EXTENSION IF EXISTS pgpool_recovery"}}})
				}
				if err != nil {
					return err
				}
				_, err = conn.Exec(ctx, "CREATE EXTENSION pgpool_recovery", pgx.QueryExecModeExec)
				return errors.Join(err, conn.Close(ctx))
			}})
	}
	return nil
}

// repoolYAML writes repool.yaml if there is none, or below the comments of the one that
// a package has installed.
func (m *maker) repoolYAML(context.Context) error {
	for _, n := range m.facts.Pool.Nodes {
		if n.Agent.Kind == config.AgentNone {
			m.manual("agent", subject(n.ID), "it is on another machine: install repool there, and add its agent's address "+
				"as \"- {id: %s, agent: ssh://%s@%s}\" (or https://%s:7411) under nodes in %s", n.ID, m.own.name, n.Host,
				n.Host, m.facts.Pool.File)
		}
	}
	if m.o.Loaded.Sets() {
		return nil
	}
	e, err := m.file(m.o.ConfigFile, 0o640)
	if err != nil || e.exists && e.path != m.o.Loaded.Path {
		return err
	}
	for _, path := range []string{m.o.Loaded.Config.Database.Passfile, m.o.Loaded.Config.Replication.Passfile,
		m.o.Loaded.Config.Pgpool.PCP.Passfile} {
		if err := m.emptyPassfile(path); err != nil {
			return err
		}
	}
	settings := m.yaml()
	if e.exists {
		e.after = strings.TrimRight(e.before, "\n") + "\n\n"
	}
	e.after += settings
	m.handled["config"] = true
	m.edit("repool-yaml", "controller", "write repool.yaml", e, plus(settings))
	return nil
}

// emptyPassfile creates a passfile without lines: repool.yaml may name only files
// that exist.
func (m *maker) emptyPassfile(path string) error {
	e, err := m.file(path, 0o600)
	if err != nil || e.exists || e.after != "" {
		return err
	}
	e.after = "# host:port:database:user:password\n"
	m.edit("pgpass", "files", "create the passfile, still empty", e, plus(e.after))
	return nil
}

func (m *maker) yaml() string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	c, p := m.o.Loaded.Config, m.facts.Pool
	w("# Made by repool setup. Every key is explained in the package's example, repool.yaml.")
	w("pgpool:")
	w("  conf: %s", quoteYAML(c.Pgpool.Conf))
	w("  pcp:")
	w("    user: %s", quoteYAML(p.PCP.User))
	w("    passfile: %s", quoteYAML(c.Pgpool.PCP.Passfile))
	w("database:")
	w("  user: %s", quoteYAML(p.Database.User))
	w("  dbname: %s", quoteYAML(p.Database.DBName))
	w("  passfile: %s", quoteYAML(p.Database.Passfile))
	w("replication:")
	w("  user: %s", quoteYAML(p.Replication.User))
	w("  passfile: %s", quoteYAML(p.Replication.Passfile))
	w("controller:")
	w("  state_dir: %s", quoteYAML(c.Controller.StateDir))
	if c.Controller.Socket != filepath.Join(c.Controller.StateDir, "repool.sock") {
		w("  socket: %s", quoteYAML(c.Controller.Socket))
	}
	return b.String()
}

// quoteYAML quotes what is not a plain word or path.
func quoteYAML(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/._-0123456789") == ""
	if plain && s != "" && strings.Trim(s, "0123456789.") != "" && s[0] != '-' {
		return s
	}
	return strconv.Quote(s)
}

// unit installs the controller's systemd unit.
func (m *maker) unit(context.Context) error {
	if m.o.UnitDir == "" {
		return nil
	}
	text, err := packaging.Unit("repool.service")
	if err != nil {
		return err
	}
	exec := m.facts.Program + " serve"
	if p := m.configPath(); p != "" {
		exec += " --config " + p
	}
	text = strings.NewReplacer("/usr/bin/repool serve", exec, "User=postgres", "User="+m.own.name, "Group=postgres",
		"Group="+groupOf(m.own)).Replace(text)
	e, err := m.file(filepath.Join(m.o.UnitDir, "repool.service"), 0o644)
	if err != nil {
		return err
	}
	if e.exists {
		return nil // the administrator's, or from an earlier run
	}
	e.after, e.owner = text, owner{}
	m.handled["controller"] = true
	m.edit("unit", "controller", "install the systemd unit; then: systemctl daemon-reload && systemctl enable --now "+
		"repool", e, []string{"+ " + exec})
	return nil
}
