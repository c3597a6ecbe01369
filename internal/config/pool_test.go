package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/pcp"
)

const twoNodes = `
pcp_port = 9899
pcp_socket_dir = '/run/pcp'
backend_hostname0 = 'localhost'
backend_port0 = 5432
backend_data_directory0 = '/srv/pg/a/'
backend_application_name0 = 'alpha'
backend_hostname2 = ''
backend_port2 = 5433
backend_data_directory2 = '/srv/pg/c'
backend_flag2 = 'DISALLOW_TO_FAILOVER'
`

// loaded writes a pgpool.conf and reads yaml beside it.
func loaded(t *testing.T, pgpool, yaml string) *Loaded {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "pgpool.conf")
	if err := os.WriteFile(conf, []byte(pgpool), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Bytes("repool.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	l.Config.Pgpool.Conf = conf
	return l
}

func TestResolveTakesNodesFromPgpoolConf(t *testing.T) {
	t.Parallel()
	p, err := loaded(t, twoNodes, "").Resolve()
	if err != nil {
		t.Fatal(err)
	}
	want := []NodeConf{{
		ID: 0, Host: "localhost", Port: 5432, AppName: "alpha", Slot: "repool_node0", Agent: Agent{Kind: AgentLocal},
		DataDir: "/srv/pg/a", WorkDir: "/srv/pg/a.repool", VaultDir: "/srv/pg/a.repool/vault",
	}, {
		ID: 2, Port: 5433, AppName: "repool_node2", Slot: "repool_node2", Agent: Agent{Kind: AgentLocal},
		DataDir: "/srv/pg/c", WorkDir: "/srv/pg/c.repool", VaultDir: "/srv/pg/c.repool/vault", NoFailover: true,
	}}
	if diff := cmp.Diff(want, p.Nodes); diff != "" {
		t.Errorf("nodes differ (-want +got):\n%s", diff)
	}
	if p.PCP.Host != "/run/pcp" || p.PCP.Port != 9899 || p.PCP.User != "repool" {
		t.Errorf("PCP = %+v", p.PCP)
	}
	if p.Node(2) == nil || p.Node(1) != nil {
		t.Error("Node finds node 2 and no node 1")
	}
}

func TestResolveMergesYAML(t *testing.T) {
	t.Parallel()
	p, err := loaded(t, twoNodes, `
nodes:
  - {id: 2, agent: "unix:/run/a.sock", data_directory: /srv/pg/other, work_directory: /srv/w}
vault: {directory: /srv/vault}
policy: {max_lag: 3MiB, methods: {rewind: ask, fence: never}, backoff_base: 10m}
peers: [{pcp: {host: other, user: x}}]
`).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	n := p.Node(2)
	if n.Agent != (Agent{Kind: AgentUnix,
		Path: "/run/a.sock"}) || n.DataDir != "/srv/pg/other" || n.WorkDir != "/srv/w" || n.VaultDir != "/srv/vault/node2" {
		t.Errorf("node 2 = %+v", *n)
	}
	pol := p.Policy
	if pol.MaxLagBytes != 3<<20 || pol.Fence != plan.Never || pol.Methods[topology.MethodRewind] != plan.Ask ||
		pol.BackoffMax < pol.BackoffBase {
		t.Errorf("policy = %+v", pol)
	}
	if len(p.Peers) != 1 || p.Peers[0].Name() != "other:9898" {
		t.Errorf("peers = %+v", p.Peers)
	}
}

func TestResolveNamesNodeAndRemedy(t *testing.T) {
	t.Parallel()
	far := strings.ReplaceAll(twoNodes, "'localhost'", "'192.0.2.7'")
	for name, c := range map[string]struct{ pgpool, yaml, want string }{
		"node elsewhere": {far, "", "node 0: 192.0.2.7 is not this machine"},
		"what to write": {far, "",
			`add "- {id: 0, agent: ssh://postgres@192.0.2.7}" (or https://host:port, or unix:/path) to nodes`},
		"no data directory": {strings.ReplaceAll(twoNodes, "'/srv/pg/c'", "''"), "",
			"node 2: no data directory: set backend_data_directory2"},
		"relative directory": {strings.ReplaceAll(twoNodes, "'/srv/pg/c'", "'pg/c'"), "",
			`node 2: the data directory must be an absolute path, got "pg/c"`},
		"a node too many": {twoNodes, "nodes: [{id: 1}]", "repool.yaml:1:10: nodes[0].id: "},
		"no nodes":        {"port = 9999\n", "", "no nodes: backend_hostname0"},
		"another mode": {twoNodes + "backend_clustering_mode = 'native_replication'\n", "",
			"backend_clustering_mode is native_replication"},
		"pgpool.conf garbled": {"port = = =\n", "", "read pgpool.conf"},
		"port out of range":   {"backend_hostname0 = 'a'\nbackend_port0 = 99999\n", "", "backend_port0"},
	} {
		_, err := loaded(t, c.pgpool, c.yaml).Resolve()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

// A promotion must not fail because an agent's place is not known.
func TestResolveForHookNeedsNoAgent(t *testing.T) {
	t.Parallel()
	p, err := loaded(t, strings.ReplaceAll(twoNodes, "'localhost'", "'192.0.2.7'"), "").ResolveForHook()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Nodes) != 2 || p.Nodes[0].Agent.Kind != AgentNone {
		t.Errorf("nodes = %+v", p.Nodes)
	}
}

func TestResyncCommand(t *testing.T) {
	t.Parallel()
	shim := filepath.Join(t.TempDir(), "resync.sh")
	if err := os.WriteFile(shim, []byte("#!/bin/sh\n# "+ShimMark+"\nexec /usr/bin/repool hook resync \"$@\"\n"),
		0o700); err != nil {
		t.Fatal(err)
	}
	for command, own := range map[string]bool{
		"":                                false,
		"repool hook resync node=%d":      false,
		"/usr/bin/repool hook resync %d":  false,
		"repool --config x hook resync":   false,
		shim + " %d %h":                   false,
		"/etc/pgpool2/my_resync.sh %d %h": true,
		"/usr/bin/repool version":         true,
	} {
		p, err := loaded(t, twoNodes+"resync_command = '"+command+"'\n", "").Resolve()
		if err != nil {
			t.Fatal(err)
		}
		if got := p.ResyncCommand != ""; got != own || p.Policy.Custom != own {
			t.Errorf("%q: the operator's own = %v, want %v", command, got, own)
		}
	}
}

func TestPCPPassword(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pcppass")
	if err := os.WriteFile(file, []byte("/run/pcp:9899:repool:secret\nlocalhost:9898:repool:other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"/run/pcp": "secret", "": "other"} {
		l := loaded(t, "", "")
		l.Config.Pgpool.PCP.Host, l.Config.Pgpool.PCP.Passfile = host, file
		pgpool := twoNodes
		if host == "" {
			pgpool = strings.ReplaceAll(strings.ReplaceAll(twoNodes, "/run/pcp", "/var/run/postgresql/"), "9899", "9898")
		}
		l2 := loaded(t, pgpool, "")
		l2.Config.Pgpool.PCP = l.Config.Pgpool.PCP
		p, err := l2.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.PCP.Config()
		if err != nil || c.Password != want {
			t.Errorf("%q: password %q, %v", host, c.Password, err)
		}
		p.PCP.User = "nobody"
		if _, err := p.PCP.Config(); !errors.Is(err, pcp.ErrNoPassword) {
			t.Errorf("no line: %v", err)
		}
	}
}

func TestOnThisMachine(t *testing.T) {
	t.Parallel()
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"": true, "/var/run/postgresql": true, "localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true,
		own: true, "192.0.2.7": false, "no-such-host.invalid": false,
	} {
		if got := onThisMachine(host); got != want {
			t.Errorf("onThisMachine(%q) = %v", host, got)
		}
	}
}
