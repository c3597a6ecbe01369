package check

import (
	"fmt"

	"github.com/repool/repool/internal/layout"
)

var pcpChecks = []Check{
	{"pcp-login", "login to PCP",
		"Nodes can only be attached and detached over PCP.", checkPCP},
	{"pcp-peers", "the other Pgpool-IIs",
		"Each node must be attached to each independent Pgpool-II.", checkPeers},
	{"reload-pending", "pgpool.conf against what Pgpool-II runs with",
		"An edited pgpool.conf has no effect until it is reloaded.", checkReload},
	{"watchdog", "Pgpool-II's place in its watchdog cluster",
		"repool acts only beside the leader with quorum; elsewhere it only observes.", checkWatchdog},
}

func checkPCP(f *Facts, r *results) {
	l := f.Pgpool.PCP
	if l.OK() {
		r.ok(pgpoolSubject, fmt.Sprintf("%s logs in at %s", l.User, f.Pgpool.Endpoint))
		return
	}
	remedy := fmt.Sprintf("add to pcp.conf the output of: pg_md5 -p -u %s   # and the password to %s; repool setup "+
		"--apply does both", l.User, f.Files.PCPPass.Path)
	if l.Away {
		remedy = "systemctl start " + layout.Here.Pgpool().PgpoolService +
			", or set pgpool.pcp in repool.yaml to where PCP listens"
	}
	r.problem(Finding{Subject: pgpoolSubject,
		Found: fmt.Sprintf("PCP user %s at %s: %s", l.User, f.Pgpool.Endpoint, l.Err), Remedy: remedy})
}

func checkPeers(f *Facts, r *results) {
	for _, p := range f.Pgpool.Peers {
		if p.PCP.OK() {
			r.ok(pgpoolSubject, "the Pgpool-II at "+p.Endpoint+" answers")
			continue
		}
		remedy := "add the user to its pcp.conf and a line for " + p.Endpoint + " to " + f.Files.PCPPass.Path
		if p.PCP.Away {
			remedy = "start it, or correct pgpool.peers in repool.yaml"
		}
		r.problem(Finding{Subject: pgpoolSubject, Remedy: remedy,
			Found: fmt.Sprintf("PCP user %s at the other Pgpool-II %s: %s", p.PCP.User, p.Endpoint, p.PCP.Err)})
	}
	if len(f.Pgpool.Peers) > 0 && f.Pool.Pgpool.UseWatchdog {
		r.warn(Finding{Subject: pgpoolSubject, At: f.at("use_watchdog"),
			Found:  "peers are configured although the watchdog passes attaches on",
			Remedy: "remove the watchdog's members from peers in repool.yaml"})
	}
}

// reloadable are the settings whose running value is compared. Pgpool-II prints
// text as it is and booleans as 0 or 1.
var reloadable = []string{"failover_command", "follow_primary_command", "auto_failback", "failover_on_backend_shutdown"}

func checkReload(f *Facts, r *results) {
	if !f.Pgpool.PCP.OK() {
		return
	}
	for _, name := range reloadable {
		running, known := f.Pgpool.Running[name]
		set, isSet := f.File.Lookup(name)
		if !known || !isSet {
			continue
		}
		want := set.Value
		if on, err := set.Bool(); err == nil && (running == "0" || running == "1") {
			if want = "0"; on {
				want = "1"
			}
		}
		if running != want {
			r.problem(Finding{Subject: pgpoolSubject, At: place(set),
				Found: name + " was changed after Pgpool-II read the file", Remedy: "pcp_reload_config -w"})
		}
	}
	if len(r.list) == 0 {
		r.ok(pgpoolSubject, "Pgpool-II runs with what pgpool.conf says")
	}
}

func checkWatchdog(f *Facts, r *results) {
	w := f.Pgpool.Watchdog
	switch {
	case !f.Pgpool.PCP.OK():
	case f.Pool.Pgpool.UseWatchdog && !w.Enabled:
		r.problem(Finding{Subject: pgpoolSubject, At: f.at("use_watchdog"),
			Found:  "use_watchdog is on, but Pgpool-II runs without it",
			Remedy: "systemctl restart " + layout.Here.Pgpool().PgpoolService})
	case !w.Enabled:
		r.ok(pgpoolSubject, "no watchdog: a single Pgpool-II")
	case w.MayAct():
		r.ok(pgpoolSubject, "this member leads with quorum: repool acts here")
	case w.Quorum < 0:
		r.warn(Finding{Subject: pgpoolSubject,
			Found:  fmt.Sprintf("state %s, quorum %d: no member may act", w.State, w.Quorum),
			Remedy: "pcp_watchdog_info -v -w   # and start the missing members"})
	default:
		r.ok(pgpoolSubject, "state "+w.State+": repool acts beside the leader, not here")
	}
}
