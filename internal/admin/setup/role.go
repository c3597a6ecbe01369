package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/node/postgres"
)

// role is a role that repool uses, and what pg_authid says about it.
type role struct {
	login postgres.Login
	// database: repool queries and promotes with it; standbys: they stream with it.
	database, standbys bool

	exists, canLogin, replication, super bool
	// password: one is stored; scram: it is a SCRAM verifier.
	password, scram bool
	monitor         bool
	checkpoint      bool // also if the server has no pg_checkpoint
	functions       map[string]bool
}

// wanted are the roles; one may serve both purposes.
func (m *maker) wanted() []*role {
	d, s := m.facts.Pool.Database, m.facts.Pool.Replication
	roles := []*role{{login: d, database: true}}
	if s.User == d.User && s.Passfile == d.Passfile {
		roles[0].standbys = true
		return roles
	}
	return append(roles, &role{login: s, standbys: true})
}

// roles creates the roles, their grants, and the lines of the passfiles. Passwords
// go to disk first: otherwise one could be lost after the role was created.
func (m *maker) roles(ctx context.Context) error {
	node, conn := m.primary()
	if conn == nil {
		if m.bad("node-login", "") || m.bad("replication-login", "") || m.bad("role-rewind", "") {
			m.manual("database-role", "pool", "no primary was reached as %s, so roles and grants are left to you: set "+
				"--admin-user and --admin-host, or run the statements shown below", m.o.AdminUser)
		}
		return nil
	}
	var sql, shown []string
	var undo []*sqlChange
	var roles []*role
	for _, r := range m.wanted() {
		if err := r.read(ctx, conn); err != nil {
			return fmt.Errorf("look at role %s on node %s: %w", r.login.User, node, err)
		}
		set, err := m.password(r)
		if err != nil {
			return err
		}
		s, say, err := r.statements(m.secrets[r.login.User], set)
		if err != nil {
			return err
		}
		sql, shown = append(sql, s...), append(shown, say...)
		if len(s) > 0 {
			undo = append(undo, r.undo(m.facts.Pool.Database.DBName, set))
		}
		m.md5[r.login.User] = r.exists && r.password && !r.scram
		roles = append(roles, r)
	}
	m.passfileItems(roles)
	m.roleItem(node.String(), conn, sql, shown, undo)
	for _, id := range []string{"pgpass", "role-monitor", "role-checkpoint", "role-rewind", "role-promote", "role-slots",
		"replication-role", "replication-login"} {
		m.handled[id] = true
	}
	return nil
}

func (m *maker) roleItem(node string, conn *pgx.Conn, sql, shown []string, undo []*sqlChange) {
	if len(sql) == 0 {
		return
	}
	m.add(Item{ID: "database-role", Subject: "node " + node,
		What: "give repool's roles the privileges they need, and no more",
		SQL:  shown,
		do: func(ctx context.Context, i *Item) error {
			for _, u := range undo {
				if err := m.record.add(&entry{ID: i.ID, SQL: u}); err != nil {
					return err
				}
			}
			return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				for i, s := range sql {
					if _, err := tx.Exec(ctx, s); err != nil {
						return fmt.Errorf("%s: %w", shown[i], err)
					}
				}
				return nil
			})
		}})
}

// read reads pg_authid, which only superusers may.
func (r *role) read(ctx context.Context, conn *pgx.Conn) error {
	var oid uint32
	err := conn.QueryRow(ctx, `SELECT oid, rolcanlogin, rolreplication, rolsuper, rolpassword IS NOT NULL,
	       coalesce(rolpassword LIKE 'SCRAM-SHA-256$%', false) FROM pg_authid WHERE rolname = $1`, r.login.User).
		Scan(&oid, &r.canLogin, &r.replication, &r.super, &r.password, &r.scram)
	r.functions = map[string]bool{}
	if err := conn.QueryRow(ctx,
		`SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint')`).Scan(&r.checkpoint); err != nil {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	r.exists = true
	if !r.checkpoint {
		if err := conn.QueryRow(ctx, `SELECT pg_has_role($1::oid, 'pg_checkpoint', 'USAGE')`,
			oid).Scan(&r.checkpoint); err != nil {
			return err
		}
	}
	if err := conn.QueryRow(ctx, `SELECT pg_has_role($1::oid, 'pg_monitor', 'USAGE')`, oid).Scan(&r.monitor); err != nil {
		return err
	}
	for _, fn := range check.Functions {
		var may bool
		if err := conn.QueryRow(ctx, `SELECT has_function_privilege($1::oid, $2, 'EXECUTE')`, oid,
			fn).Scan(&may); err != nil {
			return err
		}
		r.functions[fn] = may
	}
	return nil
}

// password finds or makes the role's password, and says whether it must be set on
// the server. What it cannot decide becomes a manual item.
func (m *maker) password(r *role) (set bool, err error) {
	s, err := m.passwordInFile(r.login)
	if err != nil {
		return false, err
	}
	failed := m.loginsFail([]*role{r})
	switch {
	case !r.exists || !r.password && failed || failed && m.o.ResetPassword:
		set = true
		if !s.known() {
			if s, err = newSecret(); err != nil {
				return false, err
			}
		}
	case failed && !s.known():
		m.manual("database-role", "pool", "role %s exists, and its password is not in %s: put it there, or use "+
			"--reset-password to give it a new one", r.login.User, r.login.Passfile)
	case failed && m.wrongPassword(r):
		m.manual("database-role", "pool", "the password of role %s in %s is wrong: correct it, or use --reset-password to "+
			"set it on the server", r.login.User, r.login.Passfile)
	}
	m.secrets[r.login.User] = s
	return set, nil
}

// loginsFail says whether a role cannot log in to a server that answers.
func (m *maker) loginsFail(roles []*role) bool {
	return m.anyLogin(roles, func(l check.LoginResult) bool { return l.Failed() })
}

func (m *maker) wrongPassword(r *role) bool {
	return m.anyLogin([]*role{r}, func(l check.LoginResult) bool { return l.Code == postgres.InvalidPassword })
}

func (m *maker) anyLogin(roles []*role, is func(check.LoginResult) bool) bool {
	for i := range m.facts.Nodes {
		n := &m.facts.Nodes[i]
		if n.SQL.Refused {
			continue
		}
		for _, r := range roles {
			if r.database && is(m.logins[n.Conf.ID]) || r.standbys && is(n.Replication) {
				return true
			}
		}
	}
	return false
}

// statements are the missing SQL for a role, and the same without secrets.
func (r *role) statements(s secret, setPassword bool) (sql, shown []string, err error) {
	name := pgx.Identifier{r.login.User}.Sanitize()
	say := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		sql, shown = append(sql, text), append(shown, text)
	}
	var secretPart, stars string
	if setPassword {
		v, err := scramVerifier(s)
		if err != nil {
			return nil, nil, err
		}
		secretPart, stars = " PASSWORD '"+v+"'", " PASSWORD '***'"
		r.scram = true
	}
	switch {
	case !r.exists:
		sql, shown = append(sql, "CREATE ROLE "+name+" LOGIN REPLICATION"+secretPart),
			append(shown, "CREATE ROLE "+name+" LOGIN REPLICATION"+stars)
	case !r.canLogin || !r.replication && !r.super || setPassword:
		sql, shown = append(sql, "ALTER ROLE "+name+" LOGIN REPLICATION"+secretPart),
			append(shown, "ALTER ROLE "+name+" LOGIN REPLICATION"+stars)
	}
	if !r.database || r.super {
		return sql, shown, nil
	}
	if !r.monitor {
		say("GRANT pg_monitor TO %s", name)
	}
	if !r.checkpoint {
		say("GRANT pg_checkpoint TO %s", name)
	}
	var missing []string
	for _, fn := range check.Functions {
		if !r.functions[fn] {
			missing = append(missing, fn)
		}
	}
	if len(missing) > 0 {
		say("GRANT EXECUTE ON FUNCTION %s TO %s", strings.Join(missing, ", "), name)
	}
	return sql, shown, nil
}

// undo is what takes the role's statements back. It is asked before they are run.
func (r *role) undo(db string, setPassword bool) *sqlChange {
	name := pgx.Identifier{r.login.User}.Sanitize()
	c := &sqlChange{DB: db, Role: r.login.User, Created: !r.exists}
	if c.Created {
		c.Undo = []string{"DROP OWNED BY " + name, "DROP ROLE " + name}
		return c
	}
	say := func(unless bool, statement string) {
		if !unless {
			c.Undo = append(c.Undo, statement)
		}
	}
	if r.database && !r.super {
		for _, fn := range check.Functions {
			say(r.functions[fn], "REVOKE EXECUTE ON FUNCTION "+fn+" FROM "+name)
		}
		say(r.checkpoint, "REVOKE pg_checkpoint FROM "+name)
		say(r.monitor, "REVOKE pg_monitor FROM "+name)
	}
	say(r.canLogin, "ALTER ROLE "+name+" NOLOGIN")
	say(r.replication || r.super, "ALTER ROLE "+name+" NOREPLICATION")
	if setPassword {
		c.Lost = "role " + r.login.User + " keeps the password that setup gave it: the one from before is not known"
	}
	return c
}
