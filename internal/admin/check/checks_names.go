package check

import (
	"fmt"
	"strconv"

	"github.com/repool/repool/internal/core/topology"
)

// anonymous is the application_name of a standby without a configured one.
const anonymous = "walreceiver"

// AppName is the application_name of the node's WAL receiver by its configuration;
// empty: unknown.
func (n *NodeFacts) AppName() string {
	if name, ok := n.SQL.Upstream.Get("application_name"); ok && name != "" {
		return name
	}
	if name := n.SQL.Settings["cluster_name"]; name != "" {
		return name
	}
	if len(n.SQL.Upstream) == 0 {
		return ""
	}
	return anonymous
}

func checkAppName(f *Facts, r *results) {
	used := map[string]topology.NodeID{}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		name := fmt.Sprintf("backend_application_name%d", n.Conf.ID)
		set, isSet := f.File.Lookup(name)
		real := n.AppName()
		switch {
		case !isSet || set.Value == "":
			suggest := real
			if suggest == "" || suggest == anonymous {
				suggest = n.Conf.Slot
			}
			r.warn(Finding{Subject: n.Subject(), At: f.at(name), Found: name + " is empty", Remedy: line(name, suggest)})
			continue
		case n.SQL.OK() && n.SQL.InRecovery && real != "" && real != set.Value:
			r.warn(Finding{Subject: n.Subject(), At: place(set),
				Found:  fmt.Sprintf("%s is %s, but the standby calls itself %s", name, set.Value, real),
				Remedy: setConnInfo(n, "application_name", set.Value)})
			continue
		}
		if other, twice := used[set.Value]; twice {
			r.problem(Finding{Subject: n.Subject(), At: place(set),
				Found:  fmt.Sprintf("%s is %s, which node %s already has", name, set.Value, other),
				Remedy: line(name, n.Conf.Slot)})
			continue
		}
		used[set.Value] = n.Conf.ID
		r.ok(n.Subject(), name+" is "+set.Value)
	}
}

// setConnInfo is the SQL that changes one key of a standby's primary_conninfo. It
// does not show the whole value, which may hold a password.
func setConnInfo(n *NodeFacts, key, value string) string {
	return fmt.Sprintf("on node %s: ALTER SYSTEM SET primary_conninfo = '<the current value with %s=%s>'; SELECT "+
		"pg_reload_conf();   -- repool does this when it resyncs the node",
		n.Conf.ID, key, value)
}

func checkSpelling(f *Facts, r *results) {
	p := f.Primary()
	if p == nil {
		return
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		host, ok := n.SQL.Upstream.Get("host")
		if !n.SQL.OK() || !n.SQL.InRecovery || !ok {
			continue
		}
		port, _ := n.SQL.Upstream.Get("port")
		if port == "" {
			port = "5432"
		}
		if port != strconv.Itoa(p.Conf.Port) {
			continue // streams from elsewhere: the planner deals with that
		}
		if host == p.Conf.Host {
			r.ok(n.Subject(), "spells its upstream as pgpool.conf does")
			continue
		}
		name := fmt.Sprintf("backend_hostname%d", p.Conf.ID)
		r.warn(Finding{Subject: n.Subject(), At: f.at(name),
			Found:  fmt.Sprintf("primary_conninfo has host=%s, but %s is '%s'", host, name, p.Conf.Host),
			Remedy: setConnInfo(n, "host", p.Conf.Host)})
	}
}

func checkDataDirectory(f *Facts, r *results) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		name := fmt.Sprintf("backend_data_directory%d", n.Conf.ID)
		set, ok := f.File.Lookup(name)
		real := n.SQL.Settings["data_directory"]
		suggest := real
		if suggest == "" {
			suggest = n.Conf.DataDir
		}
		switch {
		case real != "" && n.Conf.DataDir != "" && !sameDir(real, n.Conf.DataDir):
			at, what := "", "data_directory of the node in repool.yaml"
			if ok && set.Value == n.Conf.DataDir {
				at, what = place(set), name
			}
			r.problem(Finding{Subject: n.Subject(), At: at,
				Found:  fmt.Sprintf("%s is %s, but the server's data directory is %s", what, n.Conf.DataDir, real),
				Remedy: line(name, real)})
		case !ok || set.Value == "":
			found := Finding{Subject: n.Subject(), Found: name + " is not set", Remedy: line(name, suggest)}
			if n.Conf.DataDir == "" {
				r.problem(found)
				continue
			}
			r.warn(found)
		case real == "":
			r.ok(n.Subject(), name+" is set; the server was not asked")
		default:
			r.ok(n.Subject(), name+" is right")
		}
	}
}
