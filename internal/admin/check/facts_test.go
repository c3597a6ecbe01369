package check

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// goodConf is a pgpool.conf that nothing can be said against.
const goodConf = `backend_clustering_mode = 'streaming_replication'
health_check_period = 5
health_check_user = 'repool'
sr_check_period = 5
sr_check_user = 'repool'
failover_command = '/usr/bin/repool hook failover node=%d old-primary=%P new-main=%m'
follow_primary_command = '/usr/bin/repool hook follow-primary node=%d old-primary=%P new-main=%m'
failover_on_backend_shutdown = off
failover_on_backend_error = on
auto_failback = off
search_primary_node_timeout = 60
logdir = '/var/log/postgresql'
`

// poolOf resolves a configuration of three nodes on one machine.
func poolOf(t *testing.T, conf string) (*config.Pool, *pgpoolconf.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pgpool.conf")
	text := conf
	for i := range 3 {
		text += fmt.Sprintf("backend_hostname%d = '10.0.0.%d'\nbackend_port%d = 5432\n", i, i, i)
		if !strings.Contains(conf, fmt.Sprintf("backend_data_directory%d", i)) {
			text += fmt.Sprintf("backend_data_directory%d = '/srv/pg/%d'\n", i, i)
		}
		if !strings.Contains(conf, fmt.Sprintf("backend_application_name%d", i)) {
			text += fmt.Sprintf("backend_application_name%d = 'node%d'\n", i, i)
		}
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Bytes("repool.yaml", []byte("pgpool: {conf: \""+path+"\"}\nnodes:\n  - {id: 0, agent: local}\n  - "+
		"{id: 1, agent: local}\n  - {id: 2, agent: local}\n"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := l.ResolveForHook()
	if err != nil {
		t.Fatal(err)
	}
	file, err := pgpoolconf.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return pool, file
}

// healthy is a pool in which every check is content: node 0 is primary.
func healthy(t *testing.T, conf string) *Facts {
	t.Helper()
	pool, file := poolOf(t, conf)
	in := LoginResult{Tried: true, User: "repool"}
	f := &Facts{Taken: time.Now(), Pool: pool, File: file, Program: "/usr/bin/repool",
		Controller: ControllerFacts{Running: true, Acting: true},
		Pgpool: PgpoolFacts{Version: pgpoolconf.Version{Major: 4, Minor: 3, Patch: 5}, PCP: in,
			Endpoint: "/run/.s.PGSQL.9898",
			Running:  map[string]string{}, User: Identity{Name: "postgres", UID: 101}, Hooks: map[string]Program{}}}
	for _, name := range HookNames[:2] {
		f.Pgpool.Hooks[name] = Program{Path: "/usr/bin/repool", Repool: true}
	}
	for i := range pool.Nodes {
		f.Nodes = append(f.Nodes, healthyNode(pool, i))
	}
	return f
}

func healthyNode(pool *config.Pool, i int) NodeFacts {
	in := LoginResult{Tried: true, User: "repool"}
	functions := map[string]bool{}
	for _, fn := range Functions {
		functions[fn] = true
	}
	n := NodeFacts{Conf: pool.Nodes[i], Replication: in, HealthCheck: in, SRCheck: in,
		Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", i))},
		HBA:       rules("host all all 10.0.0.0/24 scram-sha-256", "host replication all 10.0.0.0/24 scram-sha-256"),
		SQL: SQLFacts{LoginResult: in, Version: 150010, InRecovery: i > 0, SystemID: 7, Timeline: 3,
			Missed:      map[string]string{},
			Role:        RoleFacts{Replication: true, Monitor: true, Checkpoint: true, Functions: functions},
			StandbyRole: StandbyRole{Exists: true, CanLogin: true, Replication: true},
			Collations:  map[string]string{"libc": "2.36"}, DatabaseBytes: 1 << 30,
			Settings: map[string]string{"wal_log_hints": "on", "data_checksums": "off", "full_page_writes": "on",
				"wal_level":     "replica",
				"wal_keep_size": "1024", "max_slot_wal_keep_size": "10240", "max_wal_senders": "10", "max_replication_slots": "10",
				"max_connections": "100", "max_worker_processes": "8", "max_prepared_transactions": "0",
				"max_locks_per_transaction": "64",
				"data_directory":            fmt.Sprintf("/srv/pg/%d", i), "ssl": "off"}},
		Local: &LocalFacts{Dir: fmt.Sprintf("/srv/pg/%d", i), Exists: true, DataBytes: 1 << 30, WALBytes: 1 << 30,
			FreeBytes: 100 << 30},
	}
	if i > 0 {
		n.SQL.Upstream = postgres.ConnInfo{{Key: "host", Value: "10.0.0.0"}, {Key: "port",
			Value: "5432"}, {Key: "application_name", Value: fmt.Sprintf("node%d", i)}}
		n.SQL.Settings["primary_slot_name"] = topology.SlotName(topology.NodeID(i))
	}
	return n
}

func rules(lines ...string) []HBARule {
	r, _ := ParseHBA("/srv/pg/pg_hba.conf", strings.Join(lines, "\n"))
	return r
}
