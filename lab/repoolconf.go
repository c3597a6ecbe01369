package lab

import (
	"fmt"
	"strings"
)

// writeRepoolConfig writes the repool.yaml of the controller beside p.
func (l *Lab) writeRepoolConfig(p Pgpool) error {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	w("# repool beside Pgpool-II %d of the lab in %s", p.ID, l.Dir)
	w("pgpool:")
	w("  conf: %s", p.Conf)
	w("  pcp: {host: %s, port: %d, user: repool, passfile: %s}", p.Host, p.PCPPort, l.path(".pcppass"))
	w("database: {user: repool, dbname: postgres, passfile: %s}", l.path(".pgpass"))
	w("replication: {user: repl, passfile: %s}", l.path(".pgpass"))
	w("controller:")
	w("  state_dir: %s", l.path("controller"+suffix(p.ID)))
	w("  socket: %s", l.ControllerSocket(p.ID))
	w("  interval: 1s")
	if l.WebAddr != "" && p.ID == 0 {
		w("  listen: %s", l.WebAddr)
	}
	if l.opts.Hosts {
		l.writeTLS(w, pgpoolHost(p.ID))
		w("ssh: {config_file: %s}", l.SSHConfig())
	}
	w("nodes:")
	for _, n := range l.Nodes {
		agent := "local"
		switch l.opts.Agents {
		case AgentsSeparate:
			agent = "unix:" + l.AgentSocket(n.ID)
		case AgentsTLS:
			agent = fmt.Sprintf("https://%s:%d", n.Host, agentPort)
		case AgentsSSH:
			agent = fmt.Sprintf("ssh://%s@%s:%d", l.Owner.Name, n.Host, sshPort)
		case AgentsInProcess:
		}
		w("  - id: %d", n.ID)
		w("    agent: %q", agent)
		w("    data_directory: %s", n.DataDir)
		if l.opts.Layout == LayoutDebian {
			w("    config_file: %s", n.ConfigFile())
		}
		w("    bin_directory: %s", l.agentBinDir())
	}
	if l.opts.Layout == LayoutDebian {
		w("environment: {PG_CLUSTER_CONF_ROOT: %s}", l.path("etc"))
	}
	b.WriteString(l.opts.RepoolConfig)
	if err := l.Owner.mkdir(l.path("controller" + suffix(p.ID))); err != nil {
		return err
	}
	return l.Owner.write(p.RepoolConf, strings.TrimRight(b.String(), "\n")+"\n", 0o600)
}

// ControllerSocket is the local socket of the controller beside Pgpool-II i.
func (l *Lab) ControllerSocket(i int) string {
	return fmt.Sprintf("%s/repool%s.sock", l.Sockets, suffix(i))
}

// AgentSocket is where the separate agent of node i listens.
func (l *Lab) AgentSocket(i int) string { return fmt.Sprintf("%s/agent%d.sock", l.Sockets, i) }
