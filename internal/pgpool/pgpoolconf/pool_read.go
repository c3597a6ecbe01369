package pgpoolconf

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The places that Debian's package has compiled in. A build from source has
// /tmp for both, and says otherwise in pgpool.conf or not at all.
const (
	defaultSocketDir = "/var/run/postgresql"
	defaultWorkDir   = "/var/log/postgresql"
)

// Pool reads what pgpool.conf says about the pool, with the defaults of that
// version of Pgpool-II. Where the version is not known (zero), WorkDir goes by
// whichever name is set, and the rest has the defaults of 4.3.5. The error joins
// a *ValueError for each value read here that Pgpool-II would refuse or misread.
func (f *File) Pool(v Version) (Pool, error) {
	r := reader{file: f, version: v, anyVersion: v == Version{}}
	if r.anyVersion {
		r.version = Version{4, 3, 5}
	}
	p := Pool{
		ClusteringMode: r.clusteringMode(),
		PCP:            PCP{Port: r.int("pcp_port", 9898), SocketDir: r.first("pcp_socket_dir", defaultSocketDir)},
		SRCheck:        r.srCheck(),
		Failover:       r.failover(),
		Recovery:       r.recovery(),
		UseWatchdog:    r.latestBool(false, "use_watchdog"),
		WorkDir:        r.workDir(),
		ResyncCommand:  r.text(ResyncCommand, ""),
	}
	for id := range maxNodes {
		if _, ok := f.Lookup(fmt.Sprintf("backend_port%d", id)); ok {
			for len(p.Backends) < id {
				p.Backends = append(p.Backends, Backend{ID: len(p.Backends)})
			}
			p.Backends = append(p.Backends, r.backend(id))
		}
	}
	return p, errors.Join(r.errs...)
}

// reader collects errors, so that a caller sees all of them at once.
type reader struct {
	file       *File
	version    Version
	anyVersion bool
	errs       []error
}

func (r *reader) srCheck() Check {
	period := 10 * time.Second
	if !r.version.AtLeast(4, 3, 0) {
		period = 0
	}
	return Check{
		Period:   r.seconds("sr_check_period", period),
		User:     r.text("sr_check_user", r.version.noUser()),
		Database: r.text("sr_check_database", "postgres"),
	}
}

func (r *reader) failover() Failover {
	return Failover{
		OnError:              r.latestBool(true, "failover_on_backend_error", "fail_over_on_backend_error"),
		OnShutdown:           r.latestBool(r.version.onShutdown(), "failover_on_backend_shutdown"),
		DetachFalsePrimary:   r.latestBool(false, "detach_false_primary"),
		SearchPrimaryTimeout: r.seconds("search_primary_node_timeout", 300*time.Second),
		AutoFailback:         r.latestBool(false, "auto_failback"),
	}
}

func (r *reader) recovery() Recovery {
	database := "template1"
	if r.version.AtLeast(4, 7, 0) {
		database = r.text("recovery_database", "postgres")
	}
	return Recovery{
		User:        r.text("recovery_user", ""),
		Database:    database,
		FirstStage:  r.text("recovery_1st_stage_command", ""),
		SecondStage: r.text("recovery_2nd_stage_command", ""),
	}
}

func (r *reader) backend(id int) Backend {
	name := func(base string) string { return fmt.Sprintf("%s%d", base, id) }
	return Backend{
		ID:      id,
		Host:    r.text(name("backend_hostname"), ""),
		Port:    r.int(name("backend_port"), 0),
		DataDir: r.text(name("backend_data_directory"), ""),
		AppName: r.text(name("backend_application_name"), ""),
		Flags:   r.flags(name("backend_flag")),
		HealthCheck: Check{
			Period:   r.nodeTime("health_check_period", id, 0, time.Second),
			User:     r.nodeText("health_check_user", id, r.version.noUser()),
			Database: r.nodeText("health_check_database", id, "postgres"),
		},
	}
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

// workDir is logdir, which 4.7 renamed; the old name still counts there, and of
// both the later line, but an empty logdir is passed over.
func (r *reader) workDir() string {
	if !r.anyVersion && !r.version.AtLeast(4, 7, 0) {
		return r.text("logdir", defaultWorkDir)
	}
	dir := r.text("work_dir", defaultWorkDir)
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
	set, ok := r.file.Lookup(name)
	if !ok {
		return unset
	}
	value, err := set.text()
	r.note(err)
	return value
}

// first is the first of a list of values.
func (r *reader) first(name, unset string) string {
	for item := range strings.SplitSeq(r.text(name, unset), ",") {
		if item = strings.TrimSpace(item); item != "" {
			return item
		}
	}
	return ""
}

// latestBool reads a parameter that may have several names: the last line counts.
func (r *reader) latestBool(unset bool, names ...string) bool {
	at, value := -1, unset
	for _, name := range names {
		if i, ok := r.file.find(name); ok && i > at {
			on, err := r.file.settings[i].Bool()
			r.note(err)
			at, value = i, on
		}
	}
	return value
}

func (r *reader) int(name string, unset int) int {
	set, ok := r.file.Lookup(name)
	if !ok {
		return unset
	}
	value, err := set.number("")
	r.note(err)
	return int(value)
}

func (r *reader) seconds(name string, unset time.Duration) time.Duration {
	set, ok := r.file.Lookup(name)
	if !ok {
		return unset
	}
	value, err := set.duration(time.Second)
	r.note(err)
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
