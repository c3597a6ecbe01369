package check

import (
	"fmt"
	"strings"

	"github.com/repool/repool/internal/node/postgres"
)

var nodeChecks = []Check{
	{"node-login", "the database role logs in to every node itself",
		"repool judges a node by what PostgreSQL itself says, never through Pgpool-II.", checkLogin},
	{"one-primary", "exactly one node is primary",
		"Nothing is resynced while its source is unclear.", checkPrimary},
	{"same-cluster", "one system identifier and major version",
		"A node of another initdb or another major version can never follow this primary.", checkSameCluster},
	{"timeline", "all nodes on one timeline",
		"A standby on another timeline does not follow the primary.", checkTimeline},
	{"hba", "pg_hba.conf lets every node connect to every other",
		"After a failover any node may have to stream from, or be rewound from, any other.", checkHBA},
}

var roleChecks = []Check{
	{"role-monitor", "pg_monitor", "Without it PostgreSQL hides positions, slots and settings.", checkMonitor},
	{"role-checkpoint", "pg_checkpoint", "A rewind right after a promotion needs a checkpoint on the new primary.",
		checkCheckpoint},
	{"role-rewind", "EXECUTE on the functions that pg_rewind calls",
		"pg_rewind fails on the first function that it may not call.", checkRewindFunctions},
	{"role-promote", "EXECUTE on pg_promote", "The failover hook promotes with it.", checkPromote},
	{"role-slots", "REPLICATION for slots", "A slot on the primary keeps the WAL that a node under repair needs.",
		checkSlotRight},
	{"replication-role", "the role that standbys stream as",
		"Without it no standby can stream and no base backup can be made.", checkReplicationRole},
	{"replication-login", "a physical replication connection to every node",
		"Any node may become the upstream of all others.", checkReplicationLogin},
}

func checkLogin(f *Facts, r *results) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		l := n.SQL.LoginResult
		found := Finding{Subject: n.Subject()}
		switch {
		case l.OK():
			r.ok(n.Subject(), l.User+" logs in")
			continue
		case n.SQL.Refused:
			found.Found = "the server does not accept connections: " + l.Err
			found.Remedy = "repool plan   # shows what repool would do"
			r.warn(found)
			continue
		case l.NoName:
			found.Found = l.Err
			found.Remedy = fmt.Sprintf("getent hosts %s   # no output: correct backend_hostname%s in pgpool.conf, or the "+
				"name in DNS", n.Conf.Host, n.Conf.ID)
		case l.Away:
			found.Found = "the server cannot be reached: " + l.Err
			found.Remedy = fmt.Sprintf("pg_isready -h %s -p %d   # no response: the host, its network or its firewall",
				PassHost(n.Conf.Host), n.Conf.Port)
		case l.Code == postgres.InvalidPassword || l.Code == "28000":
			found.Found = fmt.Sprintf("role %s cannot log in: %s", l.User, l.Err)
			found.Remedy = fmt.Sprintf("CREATE ROLE %s LOGIN REPLICATION PASSWORD '…';   -- on the primary, the password "+
				"into %s; repool setup --apply does both", l.User, f.Files.PGPass.Path)
		default:
			found.Found = fmt.Sprintf("role %s cannot log in: %s", l.User, l.Err)
			found.Remedy = fmt.Sprintf("psql -h %s -p %d -U %s -d %s   # shows what is wrong", PassHost(n.Conf.Host),
				n.Conf.Port, l.User, f.Pool.Database.DBName)
		}
		r.problem(found)
	}
}

func checkPrimary(f *Facts, r *results) {
	var primaries []string
	asked := 0
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if !n.SQL.OK() {
			continue
		}
		asked++
		if !n.SQL.InRecovery {
			primaries = append(primaries, n.Conf.ID.String())
		}
	}
	switch {
	case asked == 0:
	case len(primaries) > 1:
		r.problem(Finding{Subject: pgpoolSubject, Found: "nodes " + strings.Join(primaries, " and ") + " are all primaries",
			Remedy: "repool plan   # shows which one is right, and why"})
	case len(primaries) == 0 && asked == len(f.Nodes):
		r.problem(Finding{Subject: pgpoolSubject, Found: "no node is primary",
			Remedy: "repool plan   # shows which node to promote"})
	case len(primaries) == 1:
		r.ok("node "+primaries[0], "is the only primary")
	}
}

func checkSameCluster(f *Facts, r *results) {
	p := f.Primary()
	if p == nil {
		return
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		id, major := n.SQL.SystemID, n.SQL.Version/10000
		if !n.SQL.OK() && n.Local != nil {
			id, major = n.Local.SystemID, n.Local.Major
		}
		if id == 0 || n == p {
			continue
		}
		remedy := fmt.Sprintf("empty its data directory, then: repool resync %s --yes --method base-backup", n.Conf.ID)
		switch {
		case id != p.SQL.SystemID:
			r.problem(Finding{Subject: n.Subject(),
				Found: fmt.Sprintf("its system identifier is %v, the primary's %v", id, p.SQL.SystemID), Remedy: remedy})
		case major != 0 && major != p.SQL.Version/10000:
			r.problem(Finding{Subject: n.Subject(),
				Found: fmt.Sprintf("it runs PostgreSQL %d, the primary %d", major, p.SQL.Version/10000), Remedy: remedy})
		default:
			r.ok(n.Subject(), "is a copy of the same cluster")
		}
	}
}

func checkTimeline(f *Facts, r *results) {
	p := f.Primary()
	if p == nil {
		return
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if !n.SQL.OK() || !n.SQL.InRecovery || n.SQL.Timeline == 0 {
			continue
		}
		if n.SQL.Timeline == p.SQL.Timeline {
			r.ok(n.Subject(), fmt.Sprintf("is on timeline %d", n.SQL.Timeline))
			continue
		}
		r.warn(Finding{Subject: n.Subject(),
			Found:  fmt.Sprintf("is on timeline %d, the primary on %d", n.SQL.Timeline, p.SQL.Timeline),
			Remedy: "repool plan   # shows what repool will do"})
	}
}

// each calls see for every node whose facts of that group are known.
func (f *Facts) each(group string, r *results, see func(n *NodeFacts)) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if !n.SQL.OK() {
			continue
		}
		if msg, missed := n.SQL.Missed[group]; missed {
			r.warn(Finding{Subject: n.Subject(), Found: "unknown: " + msg,
				Remedy: fmt.Sprintf("GRANT pg_monitor TO %s;   -- on the primary", f.Pool.Database.User)})
			continue
		}
		see(n)
	}
}

// grant reports a missing grant once a node.
func (f *Facts) grant(r *results, sql string, has func(*NodeFacts) bool, found string) {
	f.each("role", r, func(n *NodeFacts) {
		if has(n) {
			r.ok(n.Subject(), "has it")
			return
		}
		r.problem(Finding{Subject: n.Subject(), Found: found,
			Remedy: sql + "   -- on the primary, in database " + f.Pool.Database.DBName})
	})
}

func checkMonitor(f *Facts, r *results) {
	u := f.Pool.Database.User
	f.grant(r, "GRANT pg_monitor TO "+u+";", func(n *NodeFacts) bool {
		return n.SQL.Role.Monitor || n.SQL.Role.Superuser
	}, u+" is not a member of pg_monitor")
}

func checkCheckpoint(f *Facts, r *results) {
	u := f.Pool.Database.User
	f.each("role", r, func(n *NodeFacts) {
		switch {
		case n.SQL.Role.Checkpoint:
			r.ok(n.Subject(), "may checkpoint")
		case n.SQL.Version < 150000:
			r.warn(Finding{Subject: n.Subject(),
				Found:  "before PostgreSQL 15 only superusers may checkpoint, so a rewind waits for the server's own checkpoint",
				Remedy: "ALTER ROLE " + u + " SUPERUSER;   -- or accept the wait"})
		default:
			r.problem(Finding{Subject: n.Subject(), Found: u + " is not a member of pg_checkpoint",
				Remedy: "GRANT pg_checkpoint TO " + u + ";   -- on the primary"})
		}
	})
}

func checkRewindFunctions(f *Facts, r *results) {
	u := f.Pool.Database.User
	f.each("role", r, func(n *NodeFacts) {
		var missing []string
		for _, fn := range Functions {
			if fn != PromoteFunction && !n.SQL.Role.Functions[fn] {
				missing = append(missing, fn)
			}
		}
		if len(missing) == 0 {
			r.ok(n.Subject(), "may execute them")
			return
		}
		r.problem(Finding{Subject: n.Subject(), Found: u + " may not execute " + strings.Join(missing, ", "),
			Remedy: fmt.Sprintf("GRANT EXECUTE ON FUNCTION %s TO %s;   -- on the primary, in database %s",
				strings.Join(missing, ", "), u, f.Pool.Database.DBName)})
	})
}

func checkPromote(f *Facts, r *results) {
	u := f.Pool.Database.User
	f.grant(r, fmt.Sprintf("GRANT EXECUTE ON FUNCTION %s TO %s;", PromoteFunction, u),
		func(n *NodeFacts) bool { return n.SQL.Role.Functions[PromoteFunction] }, u+" may not execute "+PromoteFunction)
}

func checkSlotRight(f *Facts, r *results) {
	u := f.Pool.Database.User
	f.grant(r, "ALTER ROLE "+u+" REPLICATION;", func(n *NodeFacts) bool {
		return n.SQL.Role.Replication || n.SQL.Role.Superuser
	}, u+" lacks REPLICATION")
}

func checkReplicationRole(f *Facts, r *results) {
	u := f.Pool.Replication.User
	f.each("role", r, func(n *NodeFacts) {
		s := n.SQL.StandbyRole
		switch {
		case !s.Exists:
			r.problem(Finding{Subject: n.Subject(), Found: "there is no role " + u,
				Remedy: "CREATE ROLE " + u + " LOGIN REPLICATION PASSWORD '…';   -- on the primary; " +
					"repool setup --apply does it"})
		case !s.CanLogin || !s.Replication:
			r.problem(Finding{Subject: n.Subject(), Found: "role " + u + " lacks LOGIN or REPLICATION",
				Remedy: "ALTER ROLE " + u + " LOGIN REPLICATION;   -- on the primary"})
		default:
			r.ok(n.Subject(), "role "+u+" may replicate")
		}
	})
}

func checkReplicationLogin(f *Facts, r *results) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		l := n.Replication
		switch {
		case n.SQL.Refused || l.Away || !l.Tried:
			// checkLogin says why.
		case l.OK():
			r.ok(n.Subject(), l.User+" opens a replication connection")
		default:
			remedy := fmt.Sprintf("host replication %s <address of each node>/32 scram-sha-256   # in the node's "+
				"pg_hba.conf, then SELECT pg_reload_conf()", l.User)
			if l.Code == postgres.InvalidPassword {
				remedy = fmt.Sprintf("put the password of %s into %s; repool setup --apply does it", l.User,
					f.Files.ReplicationPass.Path)
			}
			r.problem(Finding{Subject: n.Subject(), Found: fmt.Sprintf("replication connection as %s: %s", l.User, l.Err),
				Remedy: remedy})
		}
	}
}
