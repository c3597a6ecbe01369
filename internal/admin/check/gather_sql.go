package check

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/postgres"
)

// connect logs in to one node, bounded in time.
func (g *gatherer) connect(ctx context.Context, l postgres.Login, n config.NodeConf) (*pgx.Conn, error) {
	return l.Connect(ctx, n.Host, n.Port, g.session())
}

func (g *gatherer) session() postgres.Session {
	return postgres.Session{App: "repool check", Connect: g.o.Timeout}
}

// sql asks one node as the database role.
func (g *gatherer) sql(ctx context.Context, n config.NodeConf) SQLFacts {
	f := SQLFacts{LoginResult: LoginResult{Tried: true, User: g.pool.Database.User}, Missed: map[string]string{}}
	conn, err := g.connect(ctx, g.pool.Database, n)
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // read only: nothing can be lost
		f.read(ctx, conn, g.pool.Replication.User)
	}
	f.fail(err)
	f.Refused = postgres.Refused(err)
	return f
}

// fail notes why a login did not work.
func (l *LoginResult) fail(err error) {
	if err != nil {
		var dns *net.DNSError
		l.Code, l.Err = postgres.SQLState(err), postgres.Cause(err)
		l.Away, l.NoName = postgres.Refused(err) || postgres.Unreached(err), errors.As(err, &dns)
	}
}

// ReadSQL reads the facts of a node over another role's connection, such as an
// administrator's, which Role then describes. standbyRole is the name of the
// replication role.
func ReadSQL(ctx context.Context, conn *pgx.Conn, standbyRole string) SQLFacts {
	f := SQLFacts{LoginResult: LoginResult{Tried: true, User: conn.Config().User}, Missed: map[string]string{}}
	f.read(ctx, conn, standbyRole)
	return f
}

// read fills in the facts of a node. A failure is noted for its group and does not
// affect the others.
func (f *SQLFacts) read(ctx context.Context, conn *pgx.Conn, standbyRole string) {
	miss := func(group string, err error) {
		if err != nil {
			f.Missed[group] = err.Error()
		}
	}
	miss("state", f.readState(ctx, conn))
	miss("role", f.readRole(ctx, conn, standbyRole))
	miss("settings", f.readSettings(ctx, conn))
	miss("slots", f.readSlots(ctx, conn))
	miss("collations", f.readCollations(ctx, conn))
	miss("sizes", f.readSizes(ctx, conn))
	miss("configuration", f.readFaults(ctx, conn))
}

func (f *SQLFacts) readState(ctx context.Context, conn *pgx.Conn) error {
	me, err := postgres.Identify(ctx, conn, postgres.More{})
	f.Version, f.InRecovery, f.SystemID, f.Timeline = me.Version, me.InRecovery, me.SystemID, me.Timeline
	return err
}

func (f *SQLFacts) readRole(ctx context.Context, conn *pgx.Conn, standbyRole string) error {
	r := &f.Role
	err := conn.QueryRow(ctx, `SELECT rolsuper, rolreplication, pg_has_role(current_user, 'pg_monitor', 'USAGE'),
	       CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint')
	            THEN rolsuper OR pg_has_role(current_user,
	                 (SELECT oid FROM pg_roles WHERE rolname = 'pg_checkpoint'), 'USAGE')
	            ELSE rolsuper END
	  FROM pg_roles WHERE rolname = current_user`).Scan(&r.Superuser, &r.Replication, &r.Monitor, &r.Checkpoint)
	if err != nil {
		return err
	}
	r.Functions = map[string]bool{}
	for _, fn := range Functions {
		var may bool
		if err := conn.QueryRow(ctx, `SELECT has_function_privilege(current_user, $1, 'EXECUTE')`,
			fn).Scan(&may); err != nil {
			return err
		}
		r.Functions[fn] = may
	}
	err = conn.QueryRow(ctx, `SELECT true, rolcanlogin, rolreplication OR rolsuper FROM pg_roles WHERE rolname = $1`,
		standbyRole).Scan(&f.StandbyRole.Exists, &f.StandbyRole.CanLogin, &f.StandbyRole.Replication)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// watched are the settings that checks depend on. Those that the role may not see
// are absent from the answer.
var watched = append([]string{"wal_log_hints", "data_checksums", "full_page_writes", "wal_level", "wal_keep_size",
	"max_slot_wal_keep_size", "max_replication_slots", "hot_standby", "primary_conninfo", "primary_slot_name",
	"data_directory", "hba_file", "config_file", "ssl", "cluster_name", "synchronous_standby_names", "fsync",
	"archive_mode", "archive_command", "archive_library", "restore_command"},
	hotStandbySettings...)

func (f *SQLFacts) readSettings(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT name, setting FROM pg_settings WHERE name = ANY($1)`, watched)
	if err != nil {
		return err
	}
	f.Settings = map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		f.Settings[name] = value
		return nil
	}); err != nil {
		return err
	}
	info, err := postgres.ParseConnInfo(f.Settings["primary_conninfo"])
	delete(f.Settings, "primary_conninfo") // may hold a password
	f.Upstream = info.Without("password", "sslpassword")
	return err
}

func (f *SQLFacts) readSlots(ctx context.Context, conn *pgx.Conn) error {
	var slots string
	if err := conn.QueryRow(ctx, `SELECT `+postgres.SlotsColumn).Scan(&slots); err != nil {
		return err
	}
	return json.Unmarshal([]byte(slots), &f.Slots)
}

// readCollations asks for the version of each collation library: indexes on text
// are valid only where the versions are equal.
func (f *SQLFacts) readCollations(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT DISTINCT ON (1) CASE collprovider WHEN 'c' THEN 'libc' ELSE 'icu' END, v
	  FROM (SELECT collprovider, pg_collation_actual_version(oid) AS v FROM pg_collation
	         WHERE collname IN ('und-x-icu', 'unicode') OR collprovider = 'c') c
	 WHERE v IS NOT NULL ORDER BY 1, 2`)
	if err != nil {
		return err
	}
	f.Collations = map[string]string{}
	var provider, version string
	_, err = pgx.ForEachRow(rows, []any{&provider, &version}, func() error {
		f.Collations[provider] = version
		return nil
	})
	return err
}

// faults asks for what would keep the server from starting, each part with the
// privilege that it needs. A setting that merely waits for a restart shows in
// pg_file_settings as one that could not be applied, so of those that count at the
// start only unknown ones are certain.
var faults = []struct{ privilege, sql string }{
	{`has_table_privilege('pg_file_settings', 'SELECT')
	  AND has_function_privilege('pg_show_all_file_settings()', 'EXECUTE')`,
		`SELECT coalesce(f.sourcefile, ''), coalesce(f.sourceline, 0), concat_ws(': ', f.name, f.error)
	   FROM pg_file_settings f LEFT JOIN pg_settings s ON lower(s.name) = lower(f.name)
	  WHERE f.error IS NOT NULL AND s.context IS DISTINCT FROM 'postmaster'`},
	{`has_table_privilege('pg_hba_file_rules', 'SELECT') AND has_function_privilege('pg_hba_file_rules()', 'EXECUTE')`,
		`SELECT current_setting('hba_file'), line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL`},
	{`has_function_privilege('pg_stat_file(text,boolean)', 'EXECUTE')`,
		`SELECT 'recovery.conf', 0, 'left over; PostgreSQL 12 and later refuse to start with it'
	  WHERE (pg_stat_file('recovery.conf', true)).size IS NOT NULL`},
}

func (f *SQLFacts) readFaults(ctx context.Context, conn *pgx.Conn) error {
	for _, q := range faults {
		var may bool
		if err := conn.QueryRow(ctx, "SELECT "+q.privilege).Scan(&may); err != nil {
			return err
		}
		if !may {
			continue
		}
		rows, err := conn.Query(ctx, q.sql)
		if err != nil {
			return err
		}
		var c ConfigFault
		if _, err := pgx.ForEachRow(rows, []any{&c.File, &c.Line, &c.What}, func() error {
			f.NextStart = append(f.NextStart, c)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (f *SQLFacts) readSizes(ctx context.Context, conn *pgx.Conn) error {
	var bytes int64
	var spaces string
	err := conn.QueryRow(ctx, `SELECT (SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database),
	  coalesce((SELECT string_agg(spcname, ',' ORDER BY spcname)
	              FROM pg_tablespace WHERE pg_tablespace_location(oid) LIKE '/%'), '')`).Scan(&bytes, &spaces)
	if err != nil {
		return err
	}
	f.DatabaseBytes = uint64(bytes)
	if spaces != "" {
		f.Tablespaces = strings.Split(spaces, ",")
	}
	return nil
}

// replication opens a physical replication connection as a standby would.
func (g *gatherer) replication(ctx context.Context, n config.NodeConf) LoginResult {
	l := LoginResult{Tried: true, User: g.pool.Replication.User}
	conf, err := g.pool.Replication.Config(n.Host, n.Port, g.session())
	if err != nil {
		l.fail(err)
		return l
	}
	conf.RuntimeParams["replication"] = "true"
	conn, err := postgres.Connect(ctx, conf)
	if err == nil {
		_, err = conn.PgConn().Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
		_ = conn.Close(context.WithoutCancel(ctx)) // asked only
	}
	l.fail(err)
	return l
}
