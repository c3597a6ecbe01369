package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/layout"
)

// Layout says where a node's configuration lies.
type Layout string

// The two layouts in use. The empty Layout means LayoutPlain.
const (
	// LayoutPlain has everything in the data directory, driven by pg_ctl.
	LayoutPlain Layout = "plain"
	// LayoutDebian has postgresql.conf and pg_hba.conf outside of it, as in
	// /etc/postgresql/15/<name>, driven by pg_ctlcluster. The lab keeps them
	// in <dir>/etc and says so by PG_CLUSTER_CONF_ROOT.
	LayoutDebian Layout = "debian"
)

// AgentMode says in which processes the agents run.
type AgentMode string

// The empty AgentMode means AgentsInProcess.
const (
	// AgentsInProcess runs them inside `repool serve`.
	AgentsInProcess AgentMode = "in-process"
	// AgentsSeparate runs one `repool agent` for each node, on a unix socket.
	AgentsSeparate AgentMode = "separate"
	// AgentsTLS and AgentsSSH run one on each node's own host (Options.Hosts),
	// which controllers reach in that way.
	AgentsTLS AgentMode = "tls"
	AgentsSSH AgentMode = "ssh"
)

// Options describe a lab. The zero value is a good one: a primary and two
// standbys in the plain layout behind one Pgpool-II, without repool.
type Options struct {
	// Dir is the root. Empty: a new directory under os.TempDir. It must not
	// exist or be empty, and the user postgres must be able to reach it.
	Dir string
	// Standbys beside the one primary, node 0. 0 means 2; -1 means none.
	Standbys int
	Layout   Layout
	// Sites are names of Sites.
	Sites []string
	// SyncStandbys is synchronous_standby_names, such as "ANY 1 (*)".
	SyncStandbys string
	// Checksums: initdb --data-checksums. NoWALLogHints: wal_log_hints off.
	// With neither, pg_rewind is impossible.
	Checksums     bool
	NoWALLogHints bool
	// NoSlots: standbys stream without primary_slot_name.
	NoSlots bool
	// Durable leaves fsync on. Off (the zero value) is right for anything
	// but a real power cut: what a killed process wrote stays in the kernel.
	Durable bool
	// WALKeepSize is wal_keep_size; empty means 128MB.
	WALKeepSize string
	// MaxSlotWALKeepSize is max_slot_wal_keep_size; empty: PostgreSQL's own
	// default, no limit.
	MaxSlotWALKeepSize string
	// Settings go into every node's postgresql.conf, NodeSettings into one's.
	Settings     map[string]string
	NodeSettings map[int]map[string]string
	// Pgpool goes into every pgpool.conf, after the lab's own settings.
	Pgpool map[string]string
	// Watchdog is the number of Pgpool-IIs that watch each other. 0 and 1
	// mean one, without watchdog.
	Watchdog int
	// DiskMB puts each node on a small file system of its own (tmpfs, that
	// many MiB), so that FillDisk can fill it. Root only. 0: none.
	DiskMB int

	// Recovery makes pcp_recovery_node possible: the pgpool_recovery
	// extension in template1 and the recovery settings in pgpool.conf.
	Recovery bool
	// RecoveryScripts are put into every data directory, name → content.
	RecoveryScripts map[string]string

	// Repool is the path of the repool binary; it is copied into the lab.
	// Empty: no hooks, agents and controller.
	Repool string
	// Hooks has pgpool.conf call `repool hook …`. Needs Repool.
	Hooks bool
	// Controller starts `repool serve` beside every Pgpool-II, and the agents
	// if they are separate. Needs Repool.
	Controller bool
	Agents     AgentMode
	// Hosts puts every node and every Pgpool-II, with its controller, on a host of
	// its own: a network namespace with its own address, sshd and agent. Root only.
	Hosts bool
	// AgentSettings go into the agent section of each such host's repool.yaml.
	AgentSettings map[string]string
	// Web gives the first controller a status page on a free port.
	Web bool
	// RepoolConfig is appended to repool.yaml as it stands, such as "policy: …".
	RepoolConfig string
	// Env is added to the environment of repool's processes and hooks.
	Env map[string]string

	// BinDir holds PostgreSQL's programs; empty: the newest that is installed.
	BinDir string
	// Catchable has the agents run pg_rewind and pg_basebackup by way of a script that waits when Catch says so.
	Catchable bool
	// Templates gives data directories to copy, and the passwords. nil: the lab runs initdb itself.
	Templates *Templates `json:"-"`
	// Keep leaves the directory there after Down, with its logs.
	Keep bool
	// Log gets one line for each thing done. nil: none.
	Log io.Writer `json:"-"`
}

// fill replaces zero values by what they mean and reports contradictions.
func (o *Options) fill() error {
	switch {
	case o.Standbys == 0:
		o.Standbys = 2
	case o.Standbys < 0:
		o.Standbys = 0
	}
	if o.Layout == "" {
		o.Layout = LayoutPlain
	}
	if o.Layout != LayoutPlain && o.Layout != LayoutDebian {
		return fmt.Errorf("layout %q: want %q or %q", o.Layout, LayoutPlain, LayoutDebian)
	}
	if err := o.fillAgents(); err != nil {
		return err
	}
	if err := o.fillSites(); err != nil {
		return err
	}
	if o.WALKeepSize == "" {
		o.WALKeepSize = "128MB"
	}
	o.Watchdog = max(o.Watchdog, 1)
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Repool == "" && (o.Hooks || o.Controller) {
		return fmt.Errorf("hooks and controller need the path of the repool binary")
	}
	if o.DiskMB > 0 && os.Geteuid() != 0 {
		return fmt.Errorf("a file system of its own for each node needs root")
	}
	if o.Repool != "" {
		abs, err := filepath.Abs(o.Repool)
		if err != nil {
			return fmt.Errorf("find the repool binary: %w", err)
		}
		o.Repool = abs
	}
	return nil
}

// fillAgents settles on how the agents are reached.
func (o *Options) fillAgents() error {
	modes := []AgentMode{AgentsInProcess, AgentsSeparate}
	if o.Hosts {
		modes = []AgentMode{AgentsSSH, AgentsTLS}
	}
	if o.Agents == "" {
		o.Agents = modes[0]
	}
	if !slices.Contains(modes, o.Agents) {
		return fmt.Errorf("agents %q: want %q or %q", o.Agents, modes[0], modes[1])
	}
	if o.Hosts && os.Geteuid() != 0 {
		return fmt.Errorf("a network namespace for each host needs root")
	}
	if o.Hosts && o.Repool == "" {
		return fmt.Errorf("hosts of their own need the path of the repool binary")
	}
	return nil
}

// MissingPrograms names what has to be installed before Up can work, and is
// empty when nothing is missing.
func MissingPrograms() []string {
	var missing []string
	if _, err := findBinDir(); err != nil {
		missing = append(missing, "postgresql")
	}
	if _, err := findPgpool(); err != nil {
		missing = append(missing, "pgpool2")
	}
	return missing
}

// findBinDir is the directory of the newest installed PostgreSQL.
func findBinDir() (string, error) {
	var best layout.Postgres
	for _, p := range layout.Here.Postgres() {
		if p.Major > best.Major {
			best = p
		}
	}
	if best.Bin == "" {
		return "", fmt.Errorf("no PostgreSQL server is installed: install postgresql-15 (make deps)")
	}
	return best.Bin, nil
}

// findPgpool is the path of the pgpool program, which is often in an sbin
// directory that an ordinary user's PATH lacks.
func findPgpool() (string, error) {
	if found := layout.Here.PgpoolPrograms(); len(found) > 0 {
		return found[0], nil
	}
	p, err := exec.LookPath("pgpool")
	if err != nil {
		return "", fmt.Errorf("no pgpool program: install pgpool2 (make deps): %w", err)
	}
	return p, nil
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// majorVersion asks the server program in binDir.
func majorVersion(binDir string) (int, error) {
	out, err := exec.Command(filepath.Join(binDir, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s/postgres for its version: %w", binDir, err)
	}
	m := versionText.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("ask %s/postgres for its version: unexpected output %q", binDir, out)
	}
	return strconv.Atoi(string(m[1]))
}

// sortedKeys makes configuration files the same from run to run.
func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// quoteSetting writes a postgresql.conf value.
func quoteSetting(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
