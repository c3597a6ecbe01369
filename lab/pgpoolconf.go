package lab

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// writePgpool writes the whole configuration directory of one Pgpool-II.
func (l *Lab) writePgpool(p Pgpool) error {
	if err := l.Owner.mkdir(p.Dir); err != nil {
		return err
	}
	lines := l.pgpoolLines(p)
	if len(l.Pgpools) > 1 {
		lines = append(lines, l.watchdogLines(p)...)
	}
	if l.opts.Hooks {
		lines = append(lines, l.hookLines(p)...)
	}
	for _, s := range l.sites() {
		if s.pgpool == nil {
			continue
		}
		set := s.pgpool(l)
		for _, k := range sortedKeys(set) {
			lines = append(lines, pgpoolLine(k, set[k]))
		}
	}
	for _, k := range sortedKeys(l.opts.Pgpool) {
		lines = append(lines, pgpoolLine(k, l.opts.Pgpool[k]))
	}
	hash := md5.Sum([]byte(l.Passwords["pcp"]))
	var users string
	for _, role := range []string{"app", "pgpool", "postgres"} {
		users += role + ":TEXT" + l.Passwords[role] + "\n"
	}
	files := map[string]string{
		"pgpool.conf":    strings.Join(lines, "\n") + "\n",
		"pcp.conf":       "repool:" + hex.EncodeToString(hash[:]) + "\n",
		"pool_passwd":    users,
		"pool_hba.conf":  "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n",
		"pgpool_node_id": strconv.Itoa(p.ID) + "\n",
	}
	for _, name := range sortedKeys(files) {
		if err := l.Owner.write(filepath.Join(p.Dir, name), files[name], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pgpoolLine quotes a value in Pgpool-II's way: it unescapes nothing.
func pgpoolLine(name, value string) string { return name + " = '" + value + "'" }

func (l *Lab) pgpoolLines(p Pgpool) []string {
	pairs := [][2]string{
		{"backend_clustering_mode", "streaming_replication"},
		{"listen_addresses", p.Host}, {"port", strconv.Itoa(p.Port)}, {"socket_dir", l.Sockets},
		{"pcp_listen_addresses", p.Host}, {"pcp_port", strconv.Itoa(p.PCPPort)}, {"pcp_socket_dir", l.Sockets},
		{"pid_file_name", filepath.Join(p.Dir, "pgpool.pid")}, {"logdir", p.Dir},
		{"num_init_children", "20"}, {"max_pool", "1"}, {"log_line_prefix", "%t [%p] "},
		{"enable_pool_hba", "on"}, {"pool_passwd", "pool_passwd"},
		{"load_balance_mode", "off"}, {"connect_timeout", "2000"},
		{"health_check_period", "1"}, {"health_check_timeout", "3"}, {"health_check_max_retries", "0"},
		{"health_check_user", "pgpool"}, {"health_check_password", l.Passwords["pgpool"]},
		{"health_check_database", "postgres"},
		{"sr_check_period", "1"},
		{"sr_check_user", "pgpool"}, {"sr_check_password", l.Passwords["pgpool"]}, {"sr_check_database", "postgres"},
		{"failover_on_backend_error", "on"}, {"failover_on_backend_shutdown", "off"}, {"auto_failback", "off"},
		{"search_primary_node_timeout", "5"},
	}
	for _, n := range l.Nodes {
		i := strconv.Itoa(n.ID)
		pairs = append(pairs, [2]string{"backend_hostname" + i, n.Host}, [2]string{"backend_port" + i, strconv.Itoa(n.Port)},
			[2]string{"backend_weight" + i, "1"}, [2]string{"backend_data_directory" + i, n.DataDir},
			[2]string{"backend_flag" + i, "ALLOW_TO_FAILOVER"}, [2]string{"backend_application_name" + i, n.Name})
	}
	if l.opts.Recovery {
		pairs = append(pairs, [2]string{"recovery_user", "postgres"}, [2]string{"recovery_password", l.Passwords["postgres"]},
			[2]string{"recovery_1st_stage_command", "recovery_1st_stage.sh"}, [2]string{"recovery_timeout", "60"})
	}
	lines := []string{"# Pgpool-II " + strconv.Itoa(p.ID) + " of the lab in " + l.Dir}
	for _, kv := range pairs {
		lines = append(lines, pgpoolLine(kv[0], kv[1]))
	}
	return lines
}

// watchdogLines join p to the other Pgpool-IIs, without a virtual address.
func (l *Lab) watchdogLines(p Pgpool) []string {
	lines := []string{
		"use_watchdog = on", "delegate_IP = ''", "wd_lifecheck_method = 'heartbeat'",
		pgpoolLine("wd_ipc_socket_dir", l.Sockets), "wd_interval = 2", "wd_heartbeat_keepalive = " +
			"1", "wd_heartbeat_deadtime = 5",
		"enable_consensus_with_half_votes = on", "failover_when_quorum_exists = on", "failover_require_consensus = on",
		"wd_priority = " + strconv.Itoa(len(l.Pgpools)-p.ID),
	}
	for _, o := range l.Pgpools {
		i := strconv.Itoa(o.ID)
		lines = append(lines, pgpoolLine("hostname"+i, o.Host), "wd_port"+i+" = "+strconv.Itoa(o.WDPort),
			"pgpool_port"+i+" = "+strconv.Itoa(o.Port), pgpoolLine("heartbeat_hostname"+i, o.Host),
			"heartbeat_port"+i+" = "+strconv.Itoa(o.HeartbeatPort), "heartbeat_device"+i+" = ''")
	}
	return lines
}

// hookLines name every placeholder in quotes: an empty one would vanish.
func (l *Lab) hookLines(p Pgpool) []string {
	const args = `%d "%h" %p "%D" %m "%H" %M %P "%r" "%R" "%N" "%S"`
	line := func(setting, hook string) string {
		return pgpoolLine(setting, fmt.Sprintf("%s hook %s --config %s %s", l.RepoolBin(), hook, p.RepoolConf, args))
	}
	return []string{line("failover_command", "failover"), line("follow_primary_command", "follow-primary")}
}
