package check

import "fmt"

func checkHBA(f *Facts, r *results) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.HBA == nil {
			if n.SQL.OK() && n.HBAErr != "" && n.Local != nil {
				r.warn(Finding{Subject: n.Subject(), Found: "its rules cannot be read: " + n.HBAErr,
					Remedy: "repeat the check as the user postgres or root on the node's machine"})
			}
			continue
		}
		before := len(r.list)
		for j := range f.Nodes {
			if other := &f.Nodes[j]; other != n {
				f.hbaFrom(r, n, other)
			}
		}
		if len(r.list) == before {
			r.ok(n.Subject(), "lets every other node connect")
		}
	}
}

// hbaFrom judges whether n lets repool and standbys in from where other lives.
func (f *Facts) hbaFrom(r *results, n, other *NodeFacts) {
	for _, c := range HBAConns(f.Pool.Database.User, f.Pool.Database.DBName, f.Pool.Replication.User) {
		c.SSL = n.SQL.Settings["ssl"] == "on"
		for _, from := range other.Sources(n) {
			c.From = from
			rule, ok := MatchHBA(n.HBA, c)
			if ok && !rule.Refuses() {
				continue
			}
			db := c.Database
			if c.Replication {
				db = "replication"
			}
			found := Finding{Subject: n.Subject(),
				Found:  fmt.Sprintf("no rule lets %s connect from %s (%s) to %s", c.User, other.Subject(), where(c), db),
				Remedy: HBALine(c, "scram-sha-256") + "   # in its pg_hba.conf, then SELECT pg_reload_conf()"}
			if ok {
				found.At = fmt.Sprintf("%s:%d", rule.File, rule.Line)
			}
			r.problem(found)
		}
	}
}
