package lab

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// nodeSettings is one node's postgresql.conf, the lab's settings and the
// caller's on top.
func (l *Lab) nodeSettings(n Node) map[string]string {
	s := map[string]string{
		"listen_addresses":        n.Host,
		"port":                    strconv.Itoa(n.Port),
		"unix_socket_directories": l.Sockets,
		"cluster_name":            n.Name,
		"max_connections":         "60",
		"shared_buffers":          "16MB",
		"fsync":                   onOff(l.opts.Durable),
		"wal_level":               "replica",
		"wal_log_hints":           onOff(!l.opts.NoWALLogHints),
		"wal_keep_size":           l.opts.WALKeepSize,
		"max_wal_senders":         "10",
		"max_replication_slots":   "10",
		"hot_standby":             "on",
		"logging_collector":       "on",
		"log_directory":           filepath.Dir(n.LogFile),
		"log_filename":            filepath.Base(n.LogFile),
		"log_rotation_age":        "0",
		"log_rotation_size":       "0",
		"log_line_prefix":         "%m [%p] %q%u@%d/%a ",
		"log_checkpoints":         "on",
		"log_timezone":            "UTC",
		"timezone":                "UTC",
		// In the data directory, and gone with it: a killed server leaves its segments.
		"dynamic_shared_memory_type": "mmap",
		"lc_messages":                "C",
	}
	if l.opts.SyncStandbys != "" {
		s["synchronous_standby_names"] = l.opts.SyncStandbys
	}
	if l.opts.MaxSlotWALKeepSize != "" {
		s["max_slot_wal_keep_size"] = l.opts.MaxSlotWALKeepSize
	}
	if l.opts.Layout == LayoutDebian {
		s["data_directory"] = n.DataDir
		s["hba_file"] = filepath.Join(n.ConfigDir, "pg_hba.conf")
		s["ident_file"] = filepath.Join(n.ConfigDir, "pg_ident.conf")
		s["external_pid_file"] = l.path("run", fmt.Sprintf("%d-%s.pid", l.Major, n.Name))
	}
	for _, site := range l.sites() {
		if site.settings != nil {
			site.settings(l, n, s)
		}
	}
	maps.Copy(s, l.opts.Settings)
	maps.Copy(s, l.opts.NodeSettings[n.ID])
	return s
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// hba lets the superuser in through the lab's private socket directory, and
// everybody else by password.
const hba = `# type  database     user         address       method
local   all          postgres                   trust
local   replication  postgres                   trust
local   all          all                        scram-sha-256
host    all          all          127.0.0.1/32  scram-sha-256
host    replication  repl,repool  127.0.0.1/32  scram-sha-256
`

// hostsHBA is for nodes on hosts of their own.
const hostsHBA = `host    all          all          ` + network + `  scram-sha-256
host    replication  repl,repool  ` + network + `  scram-sha-256
`

// configuredBy are the settings that say where a file lies.
var configuredBy = map[string]string{"pg_hba.conf": "hba_file", "pg_ident.conf": "ident_file"}

func (l *Lab) writeNodeConfig(n Node) error {
	settings := l.nodeSettings(n)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s of the lab in %s\n", n.Name, l.Dir)
	for _, k := range sortedKeys(settings) {
		fmt.Fprintf(&b, "%s = %s\n", k, quoteSetting(settings[k]))
	}
	rules := hba
	if l.opts.Hosts {
		rules += hostsHBA
	}
	for _, s := range l.sites() {
		if s.hba != nil {
			rules = s.hba(rules)
		}
	}
	files := map[string]string{"postgresql.conf": b.String(), "pg_hba.conf": rules, "pg_ident.conf": ""}
	if l.opts.Layout == LayoutDebian {
		files["postgresql.conf"] += "include_dir = 'conf.d'\n"
		files["start.conf"] = "manual\n"
		files["pg_ctl.conf"] = "pg_ctl_options = ''\n"
		// pg_ctlcluster clears the environment and takes this one.
		files["environment"] = labMark + " = '" + l.Dir + "'\nTZ = 'UTC'\n"
		for _, d := range []string{l.path("etc"), filepath.Dir(n.ConfigDir), n.ConfigDir,
			filepath.Join(n.ConfigDir, "conf.d")} {
			if err := l.Owner.mkdir(d); err != nil {
				return err
			}
		}
		if err := l.linkLog(n); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(files) {
		path := filepath.Join(n.ConfigDir, name)
		if elsewhere := settings[configuredBy[name]]; elsewhere != "" {
			path = elsewhere
		}
		if err := errors.Join(l.Owner.mkdir(filepath.Dir(path)), l.Owner.write(path, files[name], 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// writeStandbySettings makes n a standby of up, in the way of pg_basebackup -R.
func (l *Lab) writeStandbySettings(n, up Node) error {
	auto := "primary_conninfo = " + quoteSetting(l.conninfo(n, up)) + "\n"
	if !l.opts.NoSlots {
		auto += "primary_slot_name = " + quoteSetting(n.Slot()) + "\n"
	}
	if err := l.Owner.write(filepath.Join(n.DataDir, "postgresql.auto.conf"), auto, 0o600); err != nil {
		return err
	}
	return l.Owner.write(filepath.Join(n.DataDir, "standby.signal"), "", 0o600)
}

// conninfo is how standby n reaches its upstream. The application name must be
// Pgpool-II's backend_application_name, or it does not see the standby stream.
func (l *Lab) conninfo(n, up Node) string {
	return fmt.Sprintf("host=%s port=%d user=repl application_name=%s passfile=%s",
		l.upstreamHost(up), up.Port, n.Name, l.path(".pgpass"))
}

// linkLog is Debian's way to say where pg_ctlcluster sends the output of a start.
func (l *Lab) linkLog(n Node) error {
	link := filepath.Join(n.ConfigDir, "log")
	if err := os.Symlink(l.startLog(n), link); err != nil && !os.IsExist(err) {
		return fmt.Errorf("link the log of %s: %w", n.Name, err)
	}
	return l.Owner.give(link)
}
