package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

const pgpoolSubject = "pgpool"

// patientSearch is how long Pgpool-II may block while it searches for a primary.
const patientSearch = 60 * time.Second

// line is a line of pgpool.conf as a remedy.
func line(name, value string) string {
	return fmt.Sprintf("%s = '%s'   # in pgpool.conf, then: pcp_reload_config -w", name, value)
}

var poolChecks = []Check{
	{"config", "repool.yaml and pgpool.conf together",
		"The controller does not start with a configuration that is wrong or incomplete.", checkConfig},
	{"pgpool-conf", "values that Pgpool-II refuses or misreads",
		"Pgpool-II does not start with such a value, or silently reads it as another.", checkRejected},
	{"pgpool-unknown", "names that Pgpool-II ignores",
		"Pgpool-II silently ignores a name that it does not know, so after a typo the default applies.", checkUnknown},
	{"health-check-off", "health_check_period",
		"Without health checks Pgpool-II only notices a dead node when a client's query fails.", checkHealthPeriod},
	{"health-check-user", "the user of the health check",
		"Pgpool-II detaches a healthy node when its health check cannot log in.", checkHealthUser},
	{"tcp-retries", "how long the kernel waits for a host that has vanished",
		"While Pgpool-II waits for an answer from such a host, its failover does not finish and no client is served.",
		checkTCPRetries},
	{"sr-check-off", "sr_check_period",
		"Without it Pgpool-II shows no replication state and never notices a second primary.", checkSRPeriod},
	{"sr-check-user", "the user of the replication check",
		"Pgpool-II finds the primary with this user: without a login there is no primary, and no writes.", checkSRUser},
	{"auto-failback", "auto_failback",
		"It attaches nodes on stale information: a node that repool detached for good reason comes back unproven.",
		checkAutoFailback},
	{"failover-on-shutdown", "failover_on_backend_shutdown",
		"Its default differs even between patch releases. When it is on, one pg_terminate_backend fails over the whole node.",
		checkOnShutdown},
	{"failover-on-error", "failover_on_backend_error",
		"With it off and no health check, Pgpool-II never notices a failure.", checkOnError},
	{"application-name", "backend_application_nameN against the standbys' application_name",
		"Pgpool-II knows a standby's replication state by this name only.", checkAppName},
	{"host-spelling", "the standbys' primary_conninfo against backend_hostnameN",
		"Pgpool-II compares the two as text: a primary whose name its standbys spell differently seems to have none.",
		checkSpelling},
	{"data-directory", "backend_data_directoryN",
		"Hooks and online recovery get this path from Pgpool-II, and the agent works on it.", checkDataDirectory},
	{"detach-false-primary", "detach_false_primary",
		"Before 4.6 every watchdog member may detach a node that is just being promoted.", checkFalsePrimary},
	{"search-primary-timeout", "search_primary_node_timeout",
		"While Pgpool-II searches for a primary it does nothing else, and at its start not even PCP answers.",
		checkSearchTimeout},
	{"failover-flags", "backend_flagN",
		"Pgpool-II refuses to detach such a node, so a broken one would stay attached.", checkFlags},
	{"status-file", "where pgpool_status is kept",
		"If a reboot loses it, Pgpool-II considers every node healthy again, even a diverged one.", checkStatusFile},
}

func checkConfig(f *Facts, r *results) {
	if f.ConfigErr == "" {
		r.ok("controller", "repool.yaml and pgpool.conf are consistent")
		return
	}
	for msg := range strings.SplitSeq(f.ConfigErr, "\n") {
		r.problem(Finding{Subject: "controller", Found: msg, Remedy: "repool setup --apply, or edit the file named"})
	}
}

func checkRejected(f *Facts, r *results) {
	before := len(r.list)
	for _, err := range f.File.Rejected(f.Pgpool.Version) {
		found := Finding{Subject: pgpoolSubject, Found: err.Error(), Remedy: "set a value that Pgpool-II accepts"}
		if v, ok := err.(*pgpoolconf.ValueError); ok { //nolint:errorlint // documented to be of this type, not wrapped
			found.At = place(v.Setting)
			if v.Hint != "" {
				found.Remedy = v.Hint
			}
		}
		r.problem(found)
	}
	if len(r.list) == before {
		r.ok(pgpoolSubject, "all values are valid")
	}
}

func checkUnknown(f *Facts, r *results) {
	for _, u := range f.File.Unknown(f.Pgpool.Version) {
		remedy := "remove the line: " + u.Name
		if u.Suggestion != "" {
			remedy = "write " + u.Suggestion + " instead of " + u.Name
		}
		r.warn(Finding{Subject: pgpoolSubject, At: place(u.Setting), Found: u.Name + " is not a setting of Pgpool-II",
			Remedy: remedy})
	}
	if len(r.list) == 0 {
		r.ok(pgpoolSubject, "all names are known")
	}
}

func checkHealthPeriod(f *Facts, r *results) {
	for _, n := range f.Pool.Pgpool.Backends {
		if n.Unused() || n.HealthCheck.Period > 0 {
			continue
		}
		id := topology.NodeID(n.ID)
		r.problem(Finding{Subject: "node " + id.String(), At: f.atNode("health_check_period", id),
			Found: "health_check_period is 0: the node is never checked", Remedy: line("health_check_period", "5")})
	}
	if len(r.list) == 0 {
		r.ok(pgpoolSubject, "every node is checked")
	}
}

func checkHealthUser(f *Facts, r *results) {
	checkUser(f, r, "health_check", func(n *NodeFacts) LoginResult { return n.HealthCheck })
}

func checkSRUser(f *Facts, r *results) {
	checkUser(f, r, "sr_check", func(n *NodeFacts) LoginResult { return n.SRCheck })
}

func checkUser(f *Facts, r *results, kind string, login func(*NodeFacts) LoginResult) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		l := login(n)
		at := f.atNode(kind+"_user", n.Conf.ID)
		switch {
		case l.User == "":
			r.problem(Finding{Subject: n.Subject(), At: at, Found: kind + "_user is empty",
				Remedy: line(kind+"_user", f.Pool.Database.User)})
		case n.SQL.Refused || l.Away || !l.Tried:
			// The server is not reached, which checkLogin says, or the password is encrypted:
			// unknown.
		case l.Err != "":
			r.problem(Finding{Subject: n.Subject(), At: at,
				Found: fmt.Sprintf("%s_user %s cannot log in: %s", kind, l.User, l.Err),
				Remedy: fmt.Sprintf("%s_user = '%s' with its password in pool_passwd, or %s_password, in pgpool.conf; repool "+
					"setup --apply does it", kind, f.Pool.Database.User, kind)})
		default:
			r.ok(n.Subject(), l.User+" logs in")
		}
	}
}

func checkSRPeriod(f *Facts, r *results) {
	if f.Pool.Pgpool.SRCheck.Period == 0 {
		r.problem(Finding{Subject: pgpoolSubject, At: f.at("sr_check_period"), Found: "sr_check_period is 0",
			Remedy: line("sr_check_period", "5")})
		return
	}
	r.ok(pgpoolSubject, "sr_check_period is "+f.Pool.Pgpool.SRCheck.Period.String())
}

func checkAutoFailback(f *Facts, r *results) {
	if f.Pool.Pgpool.Failover.AutoFailback {
		r.problem(Finding{Subject: pgpoolSubject, At: f.at("auto_failback"), Found: "auto_failback is on",
			Remedy: line("auto_failback", "off")})
		return
	}
	r.ok(pgpoolSubject, "auto_failback is off")
}

func checkOnShutdown(f *Facts, r *results) {
	_, set := f.File.Lookup("failover_on_backend_shutdown")
	on := f.Pool.Pgpool.Failover.OnShutdown
	remedy := line("failover_on_backend_shutdown", "off")
	switch {
	case set && on:
		r.warn(Finding{Subject: pgpoolSubject, At: f.at("failover_on_backend_shutdown"),
			Found: "failover_on_backend_shutdown is on", Remedy: remedy})
	case !set:
		r.warn(Finding{Subject: pgpoolSubject, Found: "failover_on_backend_shutdown is not set", Remedy: remedy})
	default:
		r.ok(pgpoolSubject, "failover_on_backend_shutdown is off")
	}
}

func checkOnError(f *Facts, r *results) {
	if f.Pool.Pgpool.Failover.OnError {
		r.ok(pgpoolSubject, "failover_on_backend_error is on")
		return
	}
	found := Finding{Subject: pgpoolSubject, At: f.at("failover_on_backend_error"),
		Found:  "failover_on_backend_error is off",
		Remedy: line("failover_on_backend_error", "on") + ", or health_check_period above 0"}
	for _, n := range f.Pool.Pgpool.Backends {
		if !n.Unused() && n.HealthCheck.Period == 0 {
			r.problem(found)
			return
		}
	}
	r.ok(pgpoolSubject, "failover_on_backend_error is off, but health checks are on")
}

func checkFalsePrimary(f *Facts, r *results) {
	p := f.Pool.Pgpool
	if p.Failover.DetachFalsePrimary && p.UseWatchdog && !f.Pgpool.Version.AtLeast(4, 6, 0) {
		r.warn(Finding{Subject: pgpoolSubject, At: f.at("detach_false_primary"),
			Found:  fmt.Sprintf("detach_false_primary is on with a watchdog in Pgpool-II %s", f.Pgpool.Version),
			Remedy: line("detach_false_primary", "off") + " (repool detaches and fences a false primary itself)"})
		return
	}
	r.ok(pgpoolSubject, "detach_false_primary does no harm here")
}

func checkSearchTimeout(f *Facts, r *results) {
	t := f.Pool.Pgpool.Failover.SearchPrimaryTimeout
	found := Finding{Subject: pgpoolSubject, At: f.at("search_primary_node_timeout"),
		Remedy: line("search_primary_node_timeout", "60")}
	switch {
	case t == 0:
		found.Found = "search_primary_node_timeout is 0: Pgpool-II searches forever"
		r.problem(found)
	case t > patientSearch:
		found.Found = "search_primary_node_timeout is " + t.String()
		r.warn(found)
	default:
		r.ok(pgpoolSubject, "search_primary_node_timeout is "+t.String())
	}
}

func checkFlags(f *Facts, r *results) {
	for _, n := range f.Pool.Pgpool.Backends {
		if n.Unused() {
			continue
		}
		name := fmt.Sprintf("backend_flag%d", n.ID)
		found := Finding{Subject: fmt.Sprintf("node %d", n.ID), At: f.at(name), Remedy: line(name, "ALLOW_TO_FAILOVER")}
		switch {
		case n.Flags.AlwaysPrimary:
			found.Found = name + " has ALWAYS_PRIMARY: Pgpool-II never considers another node the primary, even if this one " +
				"is dead"
			r.problem(found)
		case n.Flags.DisallowToFailover:
			found.Found = name + " has DISALLOW_TO_FAILOVER: the node is never detached"
			r.warn(found)
		}
	}
	if len(r.list) == 0 {
		r.ok(pgpoolSubject, "every node may be detached")
	}
}

func checkStatusFile(f *Facts, r *results) {
	name := "logdir"
	if f.Pgpool.Version.AtLeast(4, 7, 0) {
		name = "work_dir"
	}
	dir := f.Pool.Pgpool.WorkDir
	for _, volatile := range []string{"/tmp", "/run", "/var/run", "/dev/shm"} {
		if dir == volatile || strings.HasPrefix(dir, volatile+"/") {
			// A lab in /tmp goes away together with its status file.
			if strings.HasPrefix(f.Pool.PgpoolConf, volatile+"/") {
				continue
			}
			r.warn(Finding{Subject: pgpoolSubject, At: f.at(name),
				Found:  fmt.Sprintf("pgpool_status is in %s, which a reboot empties", dir),
				Remedy: fmt.Sprintf("%s = '/var/log/postgresql'   # in pgpool.conf; needs a restart of Pgpool-II", name)})
			return
		}
	}
	r.ok(pgpoolSubject, "pgpool_status is in "+dir)
}
