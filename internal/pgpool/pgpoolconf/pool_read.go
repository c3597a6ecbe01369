package pgpoolconf

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Pool reads what pgpool.conf says about the pool, with the defaults of Debian's
// Pgpool-II 4.3.5. The error joins a *ValueError for each value that Pgpool-II
// would refuse or misread.
func (f *File) Pool() (Pool, error) { return f.PoolWith(Defaults{}) }

// PoolWith is Pool for another build of Pgpool-II.
func (f *File) PoolWith(d Defaults) (Pool, error) {
	r := reader{file: f, defaults: d.filled()}
	p := Pool{
		ClusteringMode:  r.clusteringMode(),
		ListenAddresses: r.list("listen_addresses", "localhost"),
		Port:            r.int("port", 9999),
		SocketDir:       r.socketDir(),
		PCP: PCP{
			Port:            r.int("pcp_port", 9898),
			ListenAddresses: r.list("pcp_listen_addresses", "localhost"),
			SocketDir:       first(r.list("pcp_socket_dir", r.defaults.SocketDir)),
		},
		SRCheck:       r.srCheck(),
		Failover:      r.failover(),
		Recovery:      r.recovery(),
		Watchdog:      r.watchdog(),
		WorkDir:       r.workDir(),
		ResyncCommand: r.text(ResyncCommand, ""),
	}
	for id := range maxNodes {
		if _, ok := f.Lookup(fmt.Sprintf("backend_port%d", id)); ok {
			for len(p.Nodes) < id {
				p.Nodes = append(p.Nodes, Node{ID: len(p.Nodes)})
			}
			p.Nodes = append(p.Nodes, r.node(id))
		}
	}
	return p, errors.Join(r.errs...)
}

// reader collects errors, so that a caller sees all of them at once.
type reader struct {
	file     *File
	defaults Defaults
	errs     []error
}

func (r *reader) srCheck() SRCheck {
	period := 10 * time.Second
	if !r.defaults.Version.AtLeast(4, 3, 0) {
		period = 0
	}
	return SRCheck{
		Period:   r.seconds("sr_check_period", period),
		User:     r.text("sr_check_user", r.defaults.noUser()),
		Database: r.text("sr_check_database", "postgres"),
	}
}

func (r *reader) failover() Failover {
	return Failover{
		Command:              r.text("failover_command", ""),
		FailbackCommand:      r.text("failback_command", ""),
		FollowPrimaryCommand: r.text("follow_primary_command", ""),
		OnNodeError:          r.latestBool(true, "failover_on_backend_error", "fail_over_on_backend_error"),
		OnNodeShutdown:       r.bool("failover_on_backend_shutdown", r.defaults.onNodeShutdown()),
		DetachFalsePrimary:   r.bool("detach_false_primary", false),
		SearchPrimaryTimeout: r.seconds("search_primary_node_timeout", 300*time.Second),
		AutoFailback:         r.bool("auto_failback", false),
		AutoFailbackInterval: r.seconds("auto_failback_interval", 60*time.Second),
	}
}

func (r *reader) recovery() Recovery {
	database := "template1"
	if r.defaults.Version.AtLeast(4, 7, 0) {
		database = r.text("recovery_database", "postgres")
	}
	return Recovery{
		User:            r.text("recovery_user", ""),
		Database:        database,
		FirstStage:      r.text("recovery_1st_stage_command", ""),
		SecondStage:     r.text("recovery_2nd_stage_command", ""),
		Timeout:         r.seconds("recovery_timeout", 90*time.Second),
		ClientIdleLimit: r.seconds("client_idle_limit_in_recovery", 0),
	}
}

func (r *reader) watchdog() Watchdog {
	agree := r.defaults.Version.AtLeast(4, 3, 0)
	return Watchdog{
		Use:               r.bool("use_watchdog", false),
		NeedQuorum:        r.bool("failover_when_quorum_exists", agree),
		NeedConsensus:     r.bool("failover_require_consensus", agree),
		MultipleRequests:  r.bool("allow_multiple_failover_requests_from_node", false),
		HalfVotesSuffice:  r.bool("enable_consensus_with_half_votes", false),
		LocalIPCSocketDir: r.text("wd_ipc_socket_dir", r.defaults.SocketDir),
	}
}

func (r *reader) node(id int) Node {
	name := func(base string) string { return fmt.Sprintf("%s%d", base, id) }
	n := Node{
		ID:      id,
		Host:    r.text(name("backend_hostname"), ""),
		Port:    r.int(name("backend_port"), 0),
		DataDir: r.text(name("backend_data_directory"), ""),
		AppName: r.text(name("backend_application_name"), ""),
		HealthCheck: HealthCheck{
			Period:         r.nodeTime("health_check_period", id, 0, time.Second),
			Timeout:        r.nodeTime("health_check_timeout", id, 20*time.Second, time.Second),
			User:           r.nodeText("health_check_user", id, r.defaults.noUser()),
			Database:       r.nodeText("health_check_database", id, "postgres"),
			RetryDelay:     r.nodeTime("health_check_retry_delay", id, time.Second, time.Second),
			ConnectTimeout: r.nodeTime("connect_timeout", id, 10*time.Second, time.Millisecond),
		},
	}
	if set, ok := r.file.LookupNode("health_check_max_retries", id); ok {
		retries, err := set.number("")
		r.note(err)
		n.HealthCheck.MaxRetries = int(retries)
	}
	if set, ok := r.file.Lookup(name("backend_weight")); ok {
		weight, err := set.real()
		r.note(err)
		n.Weight = weight
	}
	n.Flags = r.flags(name("backend_flag"))
	return n
}

// flags goes through all settings of the name, since they add up.
func (r *reader) flags(name string) Flags {
	var fl Flags
	for i, set := range r.file.settings {
		if r.file.keys[i] == name {
			next, err := fl.add(set)
			r.note(err)
			fl = next
		}
	}
	return fl
}

func (r *reader) clusteringMode() string {
	const name = "backend_clustering_mode"
	set, ok := r.file.Lookup(name)
	if !ok {
		return "streaming_replication"
	}
	p, _, _ := find(name)
	mode, err := set.word(strings.Fields(p.words))
	r.note(err)
	return mode
}

// socketDir is socket_dir up to 4.3, then a list of another name.
func (r *reader) socketDir() string {
	if r.defaults.Version.AtLeast(4, 4, 0) {
		return first(r.list("unix_socket_directories", r.defaults.SocketDir))
	}
	return r.text("socket_dir", r.defaults.SocketDir)
}

// workDir is logdir, which 4.7 renamed; the old name still counts there, and of
// both the later line, but an empty logdir is passed over.
func (r *reader) workDir() string {
	if !r.defaults.Version.AtLeast(4, 7, 0) {
		return r.text("logdir", r.defaults.WorkDir)
	}
	dir := r.text("work_dir", r.defaults.WorkDir)
	now, ok := r.file.find("work_dir")
	if old, isSet := r.file.find("logdir"); isSet && (!ok || old > now) {
		if value := r.text("logdir", ""); value != "" {
			return value
		}
	}
	return dir
}

// note keeps an error, once: a default for all nodes is read for each of them.
func (r *reader) note(err error) {
	if err == nil {
		return
	}
	for _, known := range r.errs {
		if known.Error() == err.Error() {
			return
		}
	}
	r.errs = append(r.errs, err)
}

func (r *reader) text(name, unset string) string {
	value, ok, err := r.file.String(name)
	r.note(err)
	if !ok {
		return unset
	}
	return value
}

func (r *reader) list(name, unset string) []string {
	var out []string
	for item := range strings.SplitSeq(r.text(name, unset), ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

func (r *reader) bool(name string, unset bool) bool { return r.latestBool(unset, name) }

// latestBool reads a parameter that has several names, of which the last line
// counts.
func (r *reader) latestBool(unset bool, names ...string) bool {
	at, value := -1, unset
	for _, name := range names {
		if i, ok := r.file.find(name); ok && i > at {
			on, err := r.file.settings[i].boolean()
			r.note(err)
			at, value = i, on
		}
	}
	return value
}

func (r *reader) int(name string, unset int) int {
	value, ok, err := r.file.Int(name)
	r.note(err)
	if !ok {
		return unset
	}
	return int(value)
}

func (r *reader) seconds(name string, unset time.Duration) time.Duration {
	value, ok, err := r.file.Duration(name, time.Second)
	r.note(err)
	if !ok {
		return unset
	}
	return value
}

func (r *reader) nodeText(name string, id int, unset string) string {
	set, ok := r.file.LookupNode(name, id)
	if !ok {
		return unset
	}
	value, err := set.text()
	r.note(err)
	return value
}

func (r *reader) nodeTime(name string, id int, unset, base time.Duration) time.Duration {
	set, ok := r.file.LookupNode(name, id)
	if !ok {
		return unset
	}
	value, err := set.duration(base)
	r.note(err)
	return value
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
