package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/repool/repool/internal/admin/certs"
)

const (
	stopSignal   = syscall.SIGSTOP
	collectLimit = 3 * time.Second
)

func sshdName(i int) string { return fmt.Sprintf("sshd%d", i) }

// Certs is the directory of the lab's authority, with every host's certificate:
// node0.crt, pgpool.crt and their keys.
func (l *Lab) Certs() string { return l.path("certs") }

// SSHConfig is the ssh configuration of the controllers; known_hosts and the
// keys lie beside it.
func (l *Lab) SSHConfig() string { return l.path("ssh", "config") }

// KnownHosts is the controllers' known_hosts.
func (l *Lab) KnownHosts() string { return l.path("ssh", "known_hosts") }

// AgentConf is the repool.yaml of node i's host.
func (l *Lab) AgentConf(i int) string { return l.path(fmt.Sprintf("repool-agent%d.yaml", i)) }

// makeTrust makes the keys and certificates by which the hosts know each other,
// in the way that a person would.
func (l *Lab) makeTrust(ctx context.Context) error {
	if l.Net == "" {
		return nil
	}
	if err := l.makeSSH(ctx); err != nil {
		return err
	}
	certs := func(args ...string) error {
		_, err := l.run(ctx, l.RepoolBin(), append([]string{"certs"}, append(args, "--dir", l.Certs())...)...)
		return err
	}
	if err := certs("init"); err != nil {
		return err
	}
	for _, n := range l.Nodes {
		if err := certs("issue", nodeHost(n.ID), "--host", n.Host); err != nil {
			return err
		}
	}
	for _, p := range l.Pgpools {
		if err := certs("issue", pgpoolHost(p.ID), "--controller"); err != nil {
			return err
		}
	}
	return nil
}

// RenewCert issues a host's certificate again, valid for so long from now; 0: for as
// long as before.
func (l *Lab) RenewCert(host string, life time.Duration) error {
	made, err := certs.Renew(l.Certs(), filepath.Join(l.Certs(), host+".crt"), life)
	if err != nil {
		return err
	}
	return errors.Join(l.Owner.give(made.Key), l.Owner.give(made.Cert))
}

// Authorize sets what the controllers' key may run on node i's host: the agent's
// --stdio, or another command.
func (l *Lab) Authorize(i int, command string) error {
	b, err := os.ReadFile(l.path("ssh", "controller.pub"))
	if err != nil {
		return fmt.Errorf("read the controllers' key: %w", err)
	}
	if command == "" {
		command = fmt.Sprintf("%s agent --stdio --config %s", l.RepoolBin(), l.AgentConf(i))
	}
	return l.Owner.write(l.path("ssh", fmt.Sprintf("authorized_keys%d", i)),
		fmt.Sprintf("restrict,command=%q %s\n", command, strings.TrimSpace(string(b))), 0o600)
}

// DropSSH kills the ssh connections of node i's host, not its sshd.
func (l *Lab) DropSSH(i int) int {
	n := 0
	for _, p := range procsIn(l.netns(nodeHost(i))) {
		if p.Program() == "sshd" && !strings.Contains(p.Title(), "[listener]") {
			p.signal(syscall.SIGKILL)
			n++
		}
	}
	return n
}

// makeSSH makes a host key for each node's sshd and one key for the controllers,
// which may do nothing but reach the agent.
func (l *Lab) makeSSH(ctx context.Context) error {
	dir := l.path("ssh")
	if err := l.Owner.mkdir(dir); err != nil {
		return err
	}
	key := func(name string) (string, error) {
		if _, err := l.run(ctx, "/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f",
			filepath.Join(dir, name)); err != nil {
			return "", err
		}
		b, err := os.ReadFile(filepath.Join(dir, name+".pub"))
		return strings.TrimSpace(string(b)), err
	}
	if _, err := key("controller"); err != nil {
		return err
	}
	known := ""
	for _, n := range l.Nodes {
		host, err := key(nodeHost(n.ID))
		if err != nil {
			return err
		}
		known += fmt.Sprintf("[%s]:%d %s\n", n.Host, sshPort, host)
		if err := l.Authorize(n.ID, ""); err != nil {
			return err
		}
		if err := l.Owner.write(filepath.Join(dir, fmt.Sprintf("sshd%d.conf", n.ID)), l.sshdConfig(n), 0o600); err != nil {
			return err
		}
	}
	if err := l.Owner.write(l.KnownHosts(), known, 0o600); err != nil {
		return err
	}
	return l.Owner.write(l.SSHConfig(), fmt.Sprintf("Host *\n  IdentityFile %s\n  IdentitiesOnly yes\n  "+
		"UserKnownHostsFile %s\n  GlobalKnownHostsFile /dev/null\n",
		filepath.Join(dir, "controller"), l.KnownHosts()), 0o600)
}

// sshdConfig is an sshd that runs as the lab's user, and lets in only that one.
func (l *Lab) sshdConfig(n Node) string {
	dir := l.path("ssh")
	return fmt.Sprintf(`Port %d
ListenAddress %s
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv %s=%s
`, sshPort, n.Host, filepath.Join(dir, nodeHost(n.ID)), filepath.Join(dir, fmt.Sprintf("authorized_keys%d", n.ID)),
		labMark, l.Dir)
}

// StartSSHD starts the sshd on node i's host.
func (l *Lab) StartSSHD(ctx context.Context, i int) error {
	n := l.Nodes[i]
	log := l.path("log", sshdName(i)+".log")
	if err := l.spawn(nodeHost(i), sshdName(i), log, "/usr/sbin/sshd", "-D", "-e", "-f",
		l.path("ssh", fmt.Sprintf("sshd%d.conf", i))); err != nil {
		return err
	}
	return l.waitListening(ctx, nodeHost(i), sshdName(i), "tcp", fmt.Sprintf("%s:%d", n.Host, sshPort), log)
}

// StopSSHD kills the sshd on node i's host; connections that are open stay.
func (l *Lab) StopSSHD(_ context.Context, i int) error { return l.kill(sshdName(i)) }

// writeAgentConfig writes the repool.yaml of node n's host.
func (l *Lab) writeAgentConfig(n Node) error {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	w("# repool on the host of node %d of the lab in %s", n.ID, l.Dir)
	w("database: {user: repool, dbname: postgres, passfile: %s}", l.path(".pgpass"))
	w("replication: {user: repl, passfile: %s}", l.path(".pgpass"))
	w("nodes:")
	w("  - id: %d", n.ID)
	w("    data_directory: %s", n.DataDir)
	if l.opts.Layout == LayoutDebian {
		w("    config_file: %s", n.ConfigFile())
	}
	w("    bin_directory: %s", l.agentBinDir())
	l.writeTLS(w, nodeHost(n.ID))
	w("agent:")
	w("  node: %d", n.ID)
	w("  host: %s", l.Sockets)
	w("  port: %d", n.Port)
	w("  socket: %s", l.AgentSocket(n.ID))
	w("  listen: %s:%d", n.Host, agentPort)
	var names []string
	for _, p := range l.Pgpools {
		names = append(names, pgpoolHost(p.ID))
	}
	w("  controllers: [%s]", strings.Join(names, ", "))
	for _, k := range sortedKeys(l.opts.AgentSettings) {
		w("  %s: %s", k, l.opts.AgentSettings[k])
	}
	if l.opts.Layout == LayoutDebian {
		w("environment: {PG_CLUSTER_CONF_ROOT: %s}", l.path("etc"))
	}
	b.WriteString(l.opts.RepoolConfig)
	return l.Owner.write(l.AgentConf(n.ID), strings.TrimRight(b.String(), "\n")+"\n", 0o600)
}

// writeTLS writes the tls section of a host's repool.yaml.
func (l *Lab) writeTLS(w func(string, ...any), host string) {
	file := func(name string) string { return filepath.Join(l.Certs(), name) }
	w("tls: {ca: %s, cert: %s, key: %s}", file("ca.crt"), file(host+".crt"), file(host+".key"))
}
