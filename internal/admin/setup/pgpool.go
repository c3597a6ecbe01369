package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

const pgpoolSubject = "pgpool"

// pgpoolConfID is the item that edits pgpool.conf and what it includes.
const pgpoolConfID = "pgpool-conf"

// set notes a setting for pgpool.conf.
func (m *maker) set(name, value string) {
	m.settings = append(m.settings, [2]string{name, value})
}

// pcpUser makes repool a user of PCP. pcp.conf may have several lines for a user and
// holds only hashes, so a line is added and none is replaced.
func (m *maker) pcpUser(context.Context) error {
	if m.facts.Pgpool.PCP.OK() {
		return nil
	}
	s, err := m.pcpPassword()
	if err != nil {
		return err
	}
	e, err := m.file(m.o.PCPConf, 0o600)
	if err != nil {
		return err
	}
	user := m.facts.Pool.PCP.User
	line := user + ":" + pcpHash(s)
	for have := range strings.Lines(e.before) {
		if strings.TrimSpace(have) == line {
			return nil // so it is the connection that fails
		}
	}
	e.appendLine(line)
	m.handled["pcp-login"], m.handled["pcppass"] = true, true
	m.edit("pcp-conf", pgpoolSubject, "let repool log in to PCP", e, []string{"+ " + user + ":***"})
	return nil
}

// checkUsers gives Pgpool-II's checks a user that can log in: the database
// role, with its password in pool_passwd.
func (m *maker) checkUsers(context.Context) error {
	d := m.facts.Pool.Database
	path := check.PoolPasswd(m.facts.File, m.facts.Pool.PgpoolConf)
	for _, kind := range []string{"health_check", "sr_check"} {
		if !m.checkFails(kind) {
			continue
		}
		s := m.secrets[d.User]
		if path == "" || !s.known() {
			m.manual(strings.ReplaceAll(kind, "_", "-")+"-user", pgpoolSubject,
				"give %s_user a role that can log in to every node, with its password in pool_passwd (pool_passwd is off, or "+
					"the password of %s is not known)", kind, d.User)
			continue
		}
		if err := m.poolPassword(path, d.User, s); err != nil {
			return err
		}
		m.handled[map[string]string{"health_check": "health-check-user", "sr_check": "sr-check-user"}[kind]] = true
		for _, kv := range [][2]string{{"_user", d.User}, {"_password", ""}, {"_database", d.DBName}} {
			m.setForAll(kind+kv[0], kv[1])
		}
	}
	return nil
}

// checkFails says whether Pgpool-II's user for that check is known to be wrong.
func (m *maker) checkFails(kind string) bool {
	for i := range m.facts.Nodes {
		n := &m.facts.Nodes[i]
		l := n.HealthCheck
		if kind == "sr_check" {
			l = n.SRCheck
		}
		if l.User == "" || l.Failed() && !n.SQL.Refused {
			return true
		}
	}
	return false
}

// setForAll sets a parameter, and its forms with a node index if they are used.
func (m *maker) setForAll(name, value string) {
	have, isSet := m.facts.File.Lookup(name)
	if value != have.Value || !isSet && value != "" {
		m.set(name, value)
	}
	for _, n := range m.facts.Pool.Nodes {
		indexed := fmt.Sprintf("%s%d", name, n.ID)
		if have, isSet := m.facts.File.Lookup(indexed); isSet && have.Value != value {
			m.set(indexed, value)
		}
	}
}

// poolPassword puts a role's password into pool_passwd, in the form that works with
// every authentication method.
func (m *maker) poolPassword(path, user string, s secret) error {
	e, err := m.file(path, 0o600)
	if err != nil {
		return err
	}
	e.inPlace = true // Pgpool-II's processes keep it open
	line := user + ":TEXT" + s.clear
	var out []string
	for have := range strings.Lines(e.after) {
		switch have = strings.TrimRight(have, "\r\n"); {
		case have == line:
			return nil
		case !strings.HasPrefix(have, user+":"):
			out = append(out, have)
		}
	}
	e.after = strings.Join(append(out, line), "\n") + "\n"
	m.edit("pool-passwd", pgpoolSubject, "let Pgpool-II's checks log in as "+user, e, []string{"+ " + user + ":TEXT***"})
	m.reload = true
	return nil
}

// simple are findings that one setting fixes.
var simple = []struct{ check, name, value string }{
	{"sr-check-off", "sr_check_period", "5"},
	{"auto-failback", "auto_failback", "off"},
	{"failover-on-shutdown", "failover_on_backend_shutdown", "off"},
	{"failover-on-error", "failover_on_backend_error", "on"},
	{"search-primary-timeout", "search_primary_node_timeout", "60"},
	{"detach-false-primary", "detach_false_primary", "off"},
}

// pgpoolConf edits pgpool.conf.
func (m *maker) pgpoolConf(context.Context) error {
	for _, s := range simple {
		if m.bad(s.check, "") {
			m.set(s.name, s.value)
		}
	}
	if m.bad("health-check-off", "") {
		m.healthPeriods()
	}
	m.hookSettings()
	m.nodeSettings()
	for _, id := range []string{"sr-check-off", "auto-failback", "failover-on-shutdown", "failover-on-error",
		"search-primary-timeout",
		"detach-false-primary", "health-check-off", "data-directory"} {
		m.handled[id] = true
	}
	edit := m.facts.File.Edit()
	for _, s := range m.settings {
		if err := edit.Set(s[0], s[1]); err != nil {
			return fmt.Errorf("plan a change of %s: %w", m.facts.Pool.PgpoolConf, err)
		}
	}
	changes := edit.Changes()
	if len(changes) == 0 {
		return nil
	}
	m.add(Item{ID: pgpoolConfID, Subject: pgpoolSubject, What: "let Pgpool-II call repool, and do nothing on its own",
		File: m.facts.Pool.PgpoolConf, Lines: changeLines(changes),
		do: func(ctx context.Context, i *Item) error {
			if err := m.trySettings(ctx); err != nil {
				return err
			}
			for _, e := range edit.Edits() {
				if err := m.noteFile(i.ID, e.Path, e.Path+m.o.Suffix, e.Before, e.After); err != nil {
					return err
				}
			}
			written, err := edit.Write(m.o.Suffix)
			for _, w := range written {
				i.Backup = w.Backup
			}
			return err
		}})
	m.reload = true
	return nil
}

func changeLines(changes []pgpoolconf.Change) []string {
	var lines []string
	for _, c := range changes {
		show := func(value string) string {
			if strings.Contains(c.Name, "password") && value != "" {
				value = "***"
			}
			return fmt.Sprintf("%s = '%s'", c.Name, value)
		}
		if !c.Added {
			lines = append(lines, "- "+show(c.Old))
		}
		lines = append(lines, "+ "+show(c.New))
	}
	return lines
}

// healthPeriods turns on health checks for nodes without them.
func (m *maker) healthPeriods() {
	general := false
	for _, n := range m.facts.Pool.Pgpool.Backends {
		if n.Unused() || n.HealthCheck.Period > 0 {
			continue
		}
		indexed := fmt.Sprintf("health_check_period%d", n.ID)
		if _, ok := m.facts.File.Lookup(indexed); ok {
			m.set(indexed, "5")
			continue
		}
		if !general {
			general = true
			m.set("health_check_period", "5")
		}
	}
}

// hookSettings makes pgpool.conf call repool, or the shims.
func (m *maker) hookSettings() {
	for _, h := range []struct{ check, name, shim string }{
		{"failover-command", "failover_command", "failover.sh"},
		{"follow-primary-command", "follow_primary_command", "follow_primary.sh"},
	} {
		if !m.bad(h.check, "") {
			continue
		}
		m.handled[h.check] = true
		value := m.facts.HookLine(h.name)
		if m.o.Shims {
			value = m.shimLine(h.shim)
		}
		if have, _ := m.facts.File.Lookup(h.name); have.Value == value {
			m.handled[h.check] = false // so it is the program that cannot be run
			continue
		}
		m.set(h.name, value)
	}
}

// nodeSettings fills in what pgpool.conf lacks about nodes.
func (m *maker) nodeSettings() {
	var used []string
	for i := range m.facts.Nodes {
		n := &m.facts.Nodes[i]
		if have, _ := m.facts.File.Lookup(fmt.Sprintf("backend_application_name%d", n.Conf.ID)); have.Value != "" {
			used = append(used, have.Value)
		}
	}
	for i := range m.facts.Nodes {
		n := &m.facts.Nodes[i]
		name := fmt.Sprintf("backend_application_name%d", n.Conf.ID)
		if have, _ := m.facts.File.Lookup(name); have.Value == "" {
			app := n.AppName()
			if app == "" || app == "walreceiver" || slices.Contains(used, app) {
				app = n.Conf.Slot
			}
			used = append(used, app)
			m.set(name, app)
			m.handled["application-name "+n.Subject()] = true
		}
		dir := fmt.Sprintf("backend_data_directory%d", n.Conf.ID)
		real := n.SQL.Settings["data_directory"]
		if real == "" {
			real = n.Conf.DataDir
		}
		if m.bad("data-directory", n.Subject()) && real != "" {
			m.set(dir, real)
			m.handled["agent "+n.Subject()] = n.Conf.DataDir == ""
		}
	}
}

// subject names a node in items.
func subject(id topology.NodeID) string { return "node " + id.String() }

// isLocal says whether the node's files are on this machine.
func isLocal(n config.NodeConf) bool { return n.Agent.Kind == config.AgentLocal && n.DataDir != "" }
