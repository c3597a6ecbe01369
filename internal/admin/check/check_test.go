package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

func TestAHealthyPoolHasNoFindings(t *testing.T) {
	for _, f := range Run(healthy(t, goodConf)).Findings {
		if f.Severity != OK {
			t.Errorf("%s %s (%s): %s", f.Severity, f.ID, f.Subject, f.Found)
		}
	}
}

func TestEveryCheckIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Table() {
		if seen[c.ID] {
			t.Errorf("%s is in the table twice", c.ID)
		}
		seen[c.ID] = true
		if c.What == "" || !strings.HasSuffix(c.Why, ".") || strings.ToLower(c.ID) != c.ID {
			t.Errorf("%s: %q, %q", c.ID, c.What, c.Why)
		}
	}
}

// change is one thing wrong with a healthy pool, and what is found then.
type change struct {
	name string
	// conf replaces goodConf's lines of the same name.
	conf string
	do   func(*Facts)

	id       string
	severity Severity
	subject  string
	found    string // part of it
	remedy   string // part of it
}

func refused(l *LoginResult) { l.Err, l.Code = "password authentication failed", "28P01" }

var changes = []change{
	{name: "a name that Pgpool-II does not know", conf: "failover_comand = 'x'\n",
		id: "pgpool-unknown", severity: Warning, subject: "pgpool", found: "failover_comand",
		remedy: "write failover_command"},
	{name: "a value out of range", conf: "num_init_children = -7\n", id: "pgpool-conf", severity: Problem,
		subject: "pgpool", found: "num_init_children"},
	{name: "a vault that has outgrown its bound", do: func(f *Facts) {
		f.Nodes[1].Local.Vault = []topology.VaultEntry{{Commits: 7, Bytes: f.Pool.VaultMax + 1}}
	}, id: "vault", severity: Warning, subject: "node 1", found: "7 lost commits", remedy: "repool vault"},
	{name: "the strict reading refuses", do: func(f *Facts) { f.ConfigErr = "node 2: no agent" }, id: "config",
		severity: Problem, subject: "controller", found: "no agent"},
	{name: "no health check", conf: "health_check_period = 0\n", id: "health-check-off", severity: Problem,
		subject: "node 0", found: "is 0", remedy: "health_check_period = '5'"},
	{name: "one node without health check", conf: "health_check_period1 = 0\n", id: "health-check-off",
		severity: Problem, subject: "node 1"},
	{name: "health check cannot log in", do: func(f *Facts) { refused(&f.Nodes[2].HealthCheck) },
		id: "health-check-user", severity: Problem, subject: "node 2", found: "cannot log in"},
	{name: "replication check has no user", do: func(f *Facts) { f.Nodes[1].SRCheck = LoginResult{} }, id: "sr-check-user",
		severity: Problem, subject: "node 1", found: "empty"},
	{name: "no replication check", conf: "sr_check_period = 0\n", id: "sr-check-off", severity: Problem,
		subject: "pgpool"},
	{name: "automatic failback", conf: "auto_failback = on\n", id: "auto-failback", severity: Problem, subject: "pgpool",
		remedy: "auto_failback = 'off'"},
	{name: "failover on shutdown", conf: "failover_on_backend_shutdown = on\n", id: "failover-on-shutdown",
		severity: Warning, subject: "pgpool"},
	{name: "failover on shutdown left to the default", conf: "-failover_on_backend_shutdown", id: "failover-on-shutdown",
		severity: Warning, subject: "pgpool", found: "not set"},
	{name: "nothing notices a failure", conf: "failover_on_backend_error = off\nhealth_check_period = 0\n",
		id: "failover-on-error", severity: Problem, subject: "pgpool"},
	{name: "false primaries under a watchdog before 4.6", conf: "detach_false_primary = on\nuse_watchdog = on\n",
		id: "detach-false-primary", severity: Warning, subject: "pgpool", found: "4.3.5"},
	{name: "searching for a primary for ever", conf: "search_primary_node_timeout = 0\n", id: "search-primary-timeout",
		severity: Problem, subject: "pgpool"},
	{name: "searching for a primary for five minutes", conf: "search_primary_node_timeout = 300\n",
		id: "search-primary-timeout", severity: Warning, subject: "pgpool"},
	{name: "always primary", conf: "backend_flag1 = 'ALWAYS_PRIMARY'\n", id: "failover-flags", severity: Problem,
		subject: "node 1"},
	{name: "never detached", conf: "backend_flag2 = 'DISALLOW_TO_FAILOVER'\n", id: "failover-flags", severity: Warning,
		subject: "node 2"},
	{name: "status file on a volatile place", conf: "logdir = '/run/pgpool'\n", id: "status-file", severity: Warning,
		subject: "pgpool", found: "/run/pgpool"},

	{name: "application name empty", conf: "backend_application_name1 = ''\n", id: "application-name", severity: Warning,
		subject: "node 1", remedy: "backend_application_name1 = 'node1'"},
	{name: "application name another than the standby's", conf: "backend_application_name1 = 'replica'\n",
		id: "application-name", severity: Warning, subject: "node 1", found: "calls itself node1"},
	{name: "application name twice", conf: "backend_application_name0 = 'node1'\n", id: "application-name",
		severity: Problem, subject: "node 1", found: "node 0 already has"},
	{name: "host spelled otherwise",
		do: func(f *Facts) { f.Nodes[1].SQL.Upstream = f.Nodes[1].SQL.Upstream.With("host", "db0") },
		id: "host-spelling", severity: Warning, subject: "node 1", found: "host=db0"},
	{name: "wrong data directory", do: func(f *Facts) { f.Nodes[2].SQL.Settings["data_directory"] = "/data" },
		id: "data-directory", severity: Problem, subject: "node 2", found: "/data",
		remedy: "backend_data_directory2 = '/data'"},
	{name: "no data directory", conf: "backend_data_directory1 = ''\n", id: "data-directory", severity: Problem,
		subject: "node 1", found: "not set", remedy: "/srv/pg/1"},

	{name: "no failover command", conf: "failover_command = ''\n", id: "failover-command", severity: Problem,
		subject: "pgpool", found: "empty", remedy: "node=%d old-primary=%P"},
	{name: "somebody else's failover script", conf: "failover_command = '/etc/pgpool2/failover.sh %d'\n",
		do: func(f *Facts) { f.Pgpool.Hooks["failover_command"] = Program{Path: "/etc/pgpool2/failover.sh"} },
		id: "failover-command", severity: Problem, subject: "pgpool", found: "not repool"},
	{name: "the wrong hook", conf: "failover_command = '/usr/bin/repool hook follow-primary node=%d old-primary=%P'\n",
		id: "failover-command", severity: Problem, subject: "pgpool", found: `"hook failover"`},
	{name: "a hook that cannot be run", do: func(f *Facts) {
		f.Pgpool.Hooks["failover_command"] = Program{Path: "/root/repool", Repool: true, Err: "postgres may not enter /root"}
	}, id: "failover-command", severity: Problem, subject: "pgpool", found: "/root"},
	{name: "too few arguments", conf: "failover_command = '/usr/bin/repool hook failover %d'\n", id: "failover-command",
		severity: Problem, subject: "pgpool", found: "cannot be understood"},
	{name: "placeholders without quotes",
		conf: "failover_command = '/usr/bin/repool hook failover %d %h %p %D %m %H %M %P %r %R %N %S'\n",
		id:   "failover-command", severity: Warning, subject: "pgpool", found: "%h %D"},
	{name: "no follow command", conf: "-follow_primary_command", id: "follow-primary-command", severity: Problem,
		subject: "pgpool", found: "empty"},
	{name: "an operator's own resync", conf: "resync_command = '/bin/true %d'\n",
		do: func(f *Facts) { f.Pool.ResyncCommand = "/bin/true %d" }, id: "resync-command", severity: Warning,
		subject: "pgpool"},
	{name: "recovery script missing", conf: "recovery_1st_stage_command = 'recovery_1st_stage.sh'\n",
		id: "recovery-scripts", severity: Warning, subject: "node 0", found: "missing"},
	{name: "recovery script cannot be run", conf: "recovery_1st_stage_command = 'r.sh'\n", do: func(f *Facts) {
		for i := range f.Nodes {
			f.Nodes[i].Local.Scripts = map[string]RecoveryScript{"r.sh": {0o600, true}, "pgpool_remote_start": {0o700, true}}
		}
	}, id: "recovery-scripts", severity: Warning, subject: "node 1", found: "cannot be run"},
	{name: "online recovery by a script of the pool's own", conf: "recovery_1st_stage_command = 'basebackup.sh'\n",
		id: "recovery-scripts", severity: Problem, subject: "pgpool", found: "basebackup.sh"},
	{name: "a foreign script under the usual name", conf: "recovery_1st_stage_command = 'recovery_1st_stage.sh'\n",
		do: func(f *Facts) {
			f.Nodes[1].Local.Scripts = map[string]RecoveryScript{"recovery_1st_stage.sh": {Mode: 0o700}}
		}, id: "recovery-scripts", severity: Problem, subject: "node 1", found: "not repool's"},

	{name: "no PCP", do: func(f *Facts) { f.Pgpool.PCP.Err = "authentication failed" }, id: "pcp-login",
		severity: Problem, subject: "pgpool", remedy: "pcp.conf"},
	{name: "a peer does not answer", do: func(f *Facts) {
		f.Pgpool.Peers = []PeerFacts{{Endpoint: "other:9898", PCP: LoginResult{Tried: true, Err: "refused"}}}
	}, id: "pcp-peers", severity: Problem, subject: "pgpool", found: "other:9898"},
	{name: "edited but not reloaded", do: func(f *Facts) { f.Pgpool.Running["auto_failback"] = "1" },
		id: "reload-pending", severity: Problem, subject: "pgpool", remedy: "pcp_reload_config"},
	{name: "watchdog without quorum", conf: "use_watchdog = on\n", do: func(f *Facts) {
		f.Pgpool.Watchdog = topology.Watchdog{Enabled: true, Leader: true, Quorum: -1, State: "LEADER"}
	},
		id: "watchdog", severity: Warning, subject: "pgpool", found: "no member may act"},
	{name: "watchdog configured but not running", conf: "use_watchdog = on\n", id: "watchdog", severity: Problem,
		subject: "pgpool"},

	{name: "role missing", do: func(f *Facts) { refused(&f.Nodes[1].SQL.LoginResult) }, id: "node-login",
		severity: Problem,
		subject:  "node 1", remedy: "CREATE ROLE repool"},
	{name: "server down", do: func(f *Facts) { f.Nodes[1].SQL.Err, f.Nodes[1].SQL.Refused = "connection refused", true },
		id: "node-login", severity: Warning, subject: "node 1"},
	{name: "two primaries", do: func(f *Facts) { f.Nodes[2].SQL.InRecovery = false }, id: "one-primary",
		severity: Problem, subject: "pgpool", found: "0 and 2"},
	{name: "no primary", do: func(f *Facts) { f.Nodes[0].SQL.InRecovery = true }, id: "one-primary", severity: Problem,
		subject: "pgpool", found: "no node"},
	{name: "another cluster", do: func(f *Facts) { f.Nodes[1].SQL.SystemID = 8 }, id: "same-cluster", severity: Problem,
		subject: "node 1", found: "system identifier"},
	{name: "another major version", do: func(f *Facts) { f.Nodes[1].SQL.Version = 160000 }, id: "same-cluster",
		severity: Problem, subject: "node 1", found: "PostgreSQL 16"},
	{name: "another cluster, and it is down", do: func(f *Facts) {
		f.Nodes[1].SQL = SQLFacts{LoginResult: LoginResult{Tried: true, Err: "refused"}, Refused: true}
		f.Nodes[1].Local.SystemID = 9
	}, id: "same-cluster", severity: Problem, subject: "node 1"},
	{name: "behind on an old timeline", do: func(f *Facts) { f.Nodes[2].SQL.Timeline = 2 }, id: "timeline",
		severity: Warning, subject: "node 2"},
	{name: "no rule for one node", do: func(f *Facts) {
		f.Nodes[1].HBA = rules("host all all 10.0.0.0/31 md5", "host replication all 10.0.0.0/24 md5")
	}, id: "hba", severity: Problem, subject: "node 1", found: "from node 2",
		remedy: "host\tpostgres\trepool\t10.0.0.2/32\tscram-sha-256"},
	{name: "rejected before it is let in", do: func(f *Facts) {
		f.Nodes[0].HBA = append(rules("host replication repool 10.0.0.2 255.255.255.255 reject"), f.Nodes[0].HBA...)
	}, id: "hba", severity: Problem, subject: "node 0", found: "replication"},
	{name: "rules cannot be read", do: func(f *Facts) { f.Nodes[0].HBA, f.Nodes[0].HBAErr = nil, "permission denied" },
		id: "hba", severity: Warning, subject: "node 0"},

	{name: "no pg_monitor", do: func(f *Facts) { f.Nodes[0].SQL.Role.Monitor = false }, id: "role-monitor",
		severity: Problem, subject: "node 0", remedy: "GRANT pg_monitor TO repool;"},
	{name: "no pg_checkpoint", do: func(f *Facts) { f.Nodes[0].SQL.Role.Checkpoint = false }, id: "role-checkpoint",
		severity: Problem, subject: "node 0", remedy: "GRANT pg_checkpoint"},
	{name: "no pg_checkpoint to be had",
		do: func(f *Facts) { f.Nodes[0].SQL.Role.Checkpoint, f.Nodes[0].SQL.Version = false, 140000 },
		id: "role-checkpoint", severity: Warning, subject: "node 0"},
	{name: "a function of pg_rewind", do: func(f *Facts) { f.Nodes[1].SQL.Role.Functions[Functions[2]] = false },
		id: "role-rewind", severity: Problem, subject: "node 1",
		remedy: "GRANT EXECUTE ON FUNCTION " + Functions[2] + " TO repool;"},
	{name: "no pg_promote", do: func(f *Facts) { f.Nodes[1].SQL.Role.Functions[PromoteFunction] = false },
		id: "role-promote", severity: Problem, subject: "node 1", remedy: PromoteFunction},
	{name: "no right to slots", do: func(f *Facts) { f.Nodes[1].SQL.Role.Replication = false }, id: "role-slots",
		severity: Problem, subject: "node 1", remedy: "ALTER ROLE repool REPLICATION"},
	{name: "standbys' role missing", do: func(f *Facts) { f.Nodes[0].SQL.StandbyRole = StandbyRole{} },
		id: "replication-role", severity: Problem, subject: "node 0"},
	{name: "no replication connection", do: func(f *Facts) {
		f.Nodes[1].Replication.Err, f.Nodes[1].Replication.Code = "no pg_hba.conf entry", "28000"
	}, id: "replication-login", severity: Problem, subject: "node 1", remedy: "host replication repool"},
	{name: "facts that could not be read",
		do: func(f *Facts) { f.Nodes[0].SQL.Missed["settings"] = "permission denied" }, id: "wal-level", severity: Warning,
		subject: "node 0", found: "permission denied"},

	{name: "rewind impossible", do: func(f *Facts) { f.Nodes[1].SQL.Settings["wal_log_hints"] = "off" },
		id: "rewind-possible", severity: Warning, subject: "node 1", remedy: "wal_log_hints = on"},
	{name: "full page writes off", do: func(f *Facts) { f.Nodes[0].SQL.Settings["full_page_writes"] = "off" },
		id: "full-page-writes", severity: Problem, subject: "node 0"},
	{name: "minimal WAL", do: func(f *Facts) { f.Nodes[0].SQL.Settings["wal_level"] = "minimal" }, id: "wal-level",
		severity: Problem, subject: "node 0"},
	{name: "too few senders", do: func(f *Facts) { f.Nodes[0].SQL.Settings["max_wal_senders"] = "3" }, id: "wal-senders",
		severity: Problem, subject: "node 0", remedy: "max_wal_senders = 10"},
	{name: "too few slots", do: func(f *Facts) { f.Nodes[0].SQL.Settings["max_replication_slots"] = "1" },
		id: "wal-senders", severity: Problem, subject: "node 0"},
	{name: "no WAL kept", do: func(f *Facts) { f.Nodes[0].SQL.Settings["wal_keep_size"] = "0" }, id: "wal-keep",
		severity: Warning, subject: "node 0"},
	{name: "streams without a slot", do: func(f *Facts) { f.Nodes[2].SQL.Settings["primary_slot_name"] = "" },
		id: "wal-keep", severity: Warning, subject: "node 2", remedy: "repool_node2"},
	{name: "slots without limit", do: func(f *Facts) { f.Nodes[0].SQL.Settings["max_slot_wal_keep_size"] = "-1" },
		id: "slot-limit", severity: Warning, subject: "node 0", found: "no limit"},
	{name: "slots with a small limit", do: func(f *Facts) { f.Nodes[0].SQL.Settings["max_slot_wal_keep_size"] = "64" },
		id: "slot-limit", severity: Warning, subject: "node 0", found: "64 MB"},
	{name: "a slot has lost its WAL", do: func(f *Facts) {
		f.Nodes[0].SQL.Slots = []topology.Slot{{Name: "repool_node1", Physical: true, WALStatus: "lost"}}
	}, id: "lost-slots", severity: Problem, subject: "node 0", remedy: "pg_drop_replication_slot('repool_node1')"},
	{name: "a slot left on a standby", do: func(f *Facts) {
		f.Nodes[1].SQL.Slots = []topology.Slot{{Name: "repool_node0", Physical: true, Restart: 0x3000000}}
	}, id: "idle-slots", severity: Warning, subject: "node 1", remedy: "pg_drop_replication_slot('repool_node0')"},
	{name: "a slot of a node that has left the pool, on the primary", do: func(f *Facts) {
		f.Nodes[0].SQL.Slots = []topology.Slot{{Name: "repool_node7", Physical: true, Restart: 1, Horizon: true,
			XminAge: 900}}
	}, id: "idle-slots", severity: Warning, subject: "node 0", found: "900 transactions",
		remedy: "pg_drop_replication_slot('repool_node7')"},
	{name: "a slot that its node does without", do: func(f *Facts) {
		f.Nodes[0].SQL.Slots = []topology.Slot{{Name: "repool_node1", Physical: true, Restart: 1}}
		f.Nodes[1].SQL.Settings["primary_slot_name"] = "own"
	}, id: "idle-slots", severity: Warning, subject: "node 0", found: "node 1 streams without it",
		remedy: "pg_drop_replication_slot('repool_node1')"},
	{name: "a replaced directory with something that is nowhere else", do: func(f *Facts) {
		f.Nodes[1].Local.Kept = topology.Kept{WorkDir: "/srv/pg/1.repool", Old: 5 << 30, OldUnsaved: true}
	}, id: "kept-copies", severity: Warning, subject: "node 1", found: "5.0 GiB",
		remedy: "rm -r -- '/srv/pg/1.repool/old'"},
	{name: "lower than the primary", do: func(f *Facts) { f.Nodes[1].SQL.Settings["max_connections"] = "50" },
		id: "standby-parameters", severity: Problem, subject: "node 1", found: "50 here and 100 on node 0"},
	{name: "an archive that overwrites", do: func(f *Facts) {
		s := f.Nodes[2].SQL.Settings
		s["archive_mode"], s["archive_command"], s["restore_command"] = "on", "cp %p /arch/%f", "cp /arch/%f %p"
	}, id: "archive", severity: Warning, subject: "node 2", found: "prefers the archive",
		remedy: "'test ! -f /arch/%f && cp %p /arch/%f'"},
	{name: "another release of libc",
		do: func(f *Facts) { f.Nodes[1].SQL.Collations = map[string]string{"libc": "2.31"} }, id: "collation-version",
		severity: Warning, subject: "node 1", found: "2.31"},

	{name: "a setting that the server will not know when it starts", do: func(f *Facts) {
		f.Nodes[1].SQL.NextStart = []ConfigFault{{File: "/etc/postgresql.conf", Line: 7,
			What: "checkpoint_completion_targets: unrecognized configuration parameter"}}
	}, id: "next-start", severity: Problem, subject: "node 1", found: "checkpoint_completion_targets",
		remedy: "correct it"},
	{name: "a left-over recovery.conf", do: func(f *Facts) {
		f.Nodes[2].SQL.NextStart = []ConfigFault{{File: "recovery.conf", What: "left over"}}
	}, id: "next-start", severity: Problem, subject: "node 2", found: "left over", remedy: "move the file"},

	{name: "agent does not answer",
		do: func(f *Facts) { f.Nodes[2].Local, f.Nodes[2].LocalErr = nil, "its agent does not answer" }, id: "agent",
		severity: Warning, subject: "node 2"},
	{name: "mount point within",
		do: func(f *Facts) { f.Nodes[1].Local.MountsBelow = []string{"/srv/pg/1/data/pg_wal"} }, id: "mount-point",
		severity: Problem, subject: "node 1", found: "/srv/pg/1/data/pg_wal"},
	{name: "tablespaces", do: func(f *Facts) { f.Nodes[0].Local.SpacesErr = []string{"tablespace 16390: no"} },
		id: "tablespaces", severity: Problem, subject: "node 0", found: "16390"},
	{name: "odd files", do: func(f *Facts) { f.Nodes[1].Local.Odd = strings.Fields("a b c d e f g") }, id: "odd-files",
		severity: Warning, subject: "node 1", found: "and 2 more"},
	{name: "files that no copy could keep", do: func(f *Facts) { f.Nodes[1].Local.Lost = []string{"base: symlink"} },
		id: "own-files", severity: Problem, subject: "node 1", found: "base: symlink", remedy: "/srv/pg/1"},
	{name: "no space for a copy", do: func(f *Facts) { f.Nodes[2].Local.FreeBytes = 1 << 30 }, id: "disk-space",
		severity: Problem, subject: "node 2", found: "1.0 GiB free"},
	{name: "no place for repairs",
		do: func(f *Facts) { f.Nodes[2].Local.WorkDirErr = "postgres may not write in /srv/pg" }, id: "work-directory",
		severity: Problem, subject: "node 2"},

	{name: "passfile that others can read",
		do: func(f *Facts) { f.Files.PGPass = Passfile{Path: "/p", Exists: true, Err: "open"} }, id: "pgpass",
		severity: Problem, subject: "files", remedy: "chmod 600 /p"},
	{name: "no passfile and no login", do: func(f *Facts) { refused(&f.Nodes[0].SQL.LoginResult) }, id: "pgpass",
		severity: Problem, subject: "files"},
	{name: "passfile lacks a node", do: func(f *Facts) {
		refused(&f.Nodes[0].SQL.LoginResult)
		f.Files.PGPass = Passfile{Path: "/p", Exists: true, Without: []string{"node 0"}}
	}, id: "pgpass", severity: Problem, subject: "files", found: "node 0"},
	{name: "PCP passfile missing", do: func(f *Facts) { f.Pgpool.PCP.Err = "no password" }, id: "pcppass",
		severity: Problem, subject: "files"},
	{name: "state directory not writable", do: func(f *Facts) { f.Files.StateDirErr = "read-only" },
		id: "state-directory", severity: Problem, subject: "controller"},
	{name: "the kernel waits long for a host that has vanished", do: func(f *Facts) {
		f.Nodes[1].Conf.Host, f.Nodes[1].Conf.Agent, f.TCPRetries = "10.0.0.11", config.Agent{Kind: config.AgentSSH,
			Host: "10.0.0.11"}, 15
	}, id: "tcp-retries", severity: Warning, subject: "pgpool", found: "tcp_retries2 is 15"},
	{name: "certificate cannot be read", do: func(f *Facts) { f.Files.CertsErr = "no such file" }, id: "certificates",
		severity: Problem, subject: "files"},
	{name: "certificate has expired", do: func(f *Facts) { f.Files.Certs = ends(f, -time.Second) }, id: "certificates",
		severity: Problem, subject: "files", remedy: "repool certs renew /c/db1.crt"},
	{name: "certificate will expire", do: func(f *Facts) { f.Files.Certs = ends(f, 29*24*time.Hour) },
		id: "certificates", severity: Warning, subject: "files", found: "db1"},
	{name: "controller not running", do: func(f *Facts) { f.Controller = ControllerFacts{Why: "nothing answers"} },
		id: "controller", severity: Warning, subject: "controller"},
}

// ends is a certificate that ends so long after the facts were taken.
func ends(f *Facts, in time.Duration) []certs.Expiry {
	return []certs.Expiry{{Path: "/c/db1.crt", Name: "db1", NotAfter: f.Taken.Add(in)}}
}

// altered is goodConf with lines put in the place of those of the same name; a
// name after a hyphen goes.
func altered(lines string) string {
	if name, ok := strings.CutPrefix(lines, "-"); ok {
		return without(goodConf, name)
	}
	conf := goodConf
	for l := range strings.Lines(lines) {
		name, _, _ := strings.Cut(l, " ")
		conf = without(conf, name)
	}
	return conf + lines
}

func without(conf, name string) string {
	var out string
	for l := range strings.Lines(conf) {
		if !strings.HasPrefix(l, name+" ") {
			out += l
		}
	}
	return out
}

func TestChecks(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range changes {
		covered[c.id] = true
		t.Run(c.name, func(t *testing.T) {
			f := healthy(t, altered(c.conf))
			if c.do != nil {
				c.do(f)
			}
			if err := c.expect(Run(f)); err != nil {
				t.Error(err)
			}
		})
	}
	for _, c := range Table() {
		if !covered[c.ID] {
			t.Errorf("no test for %s", c.ID)
		}
	}
}

func (c change) expect(rep Report) error {
	var near []string
	for _, f := range rep.Findings {
		if f.ID != c.id {
			continue
		}
		if f.Severity == c.severity && f.Subject == c.subject && strings.Contains(f.Found, c.found) &&
			strings.Contains(f.Remedy, c.remedy) {
			if f.Remedy == "" || f.Why == "" {
				return fmt.Errorf("%s lacks remedy or reason: %+v", c.id, f)
			}
			return nil
		}
		near = append(near, fmt.Sprintf("%s %s: %s → %s", f.Severity, f.Subject, f.Found, f.Remedy))
	}
	return fmt.Errorf("want %s of %s on %s with %q and %q; got:\n  %s", c.severity, c.id, c.subject, c.found, c.remedy,
		strings.Join(near, "\n  "))
}

func TestPlaceOfASetting(t *testing.T) {
	f := healthy(t, altered("auto_failback = on\n"))
	for _, found := range Run(f).Findings {
		if found.ID == "auto-failback" && !strings.HasSuffix(found.At, "pgpool.conf:12") {
			t.Errorf("auto_failback is said to be at %q", found.At)
		}
	}
}

func TestAppNameFallsBackToClusterName(t *testing.T) {
	n := NodeFacts{}
	n.SQL.Settings = map[string]string{"cluster_name": "berlin"}
	if got := n.AppName(); got != "berlin" {
		t.Errorf("got %q", got)
	}
	n.SQL.Settings = nil
	n.SQL.Upstream = postgres.ConnInfo{{Key: "host", Value: "h"}}
	if got := n.AppName(); got != anonymous {
		t.Errorf("got %q", got)
	}
}
