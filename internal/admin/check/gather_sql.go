package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
)

// connConf is a login to one node, read-only and bounded.
func (g *gatherer) connConf(l config.Login, n config.NodeConf) (*pgx.ConnConfig, error) {
	conf, err := l.ConnConfig(n.Host, n.Port, g.o.Timeout)
	if err != nil {
		return nil, err
	}
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	conf.RuntimeParams["application_name"] = "repool check"
	return conf, nil
}

// sql asks one node everything as the database role.
func (g *gatherer) sql(ctx context.Context, n config.NodeConf) SQLFacts {
	f := SQLFacts{Login: Login{Tried: true, User: g.pool.Database.User}, Missed: map[string]string{}}
	conf, err := g.connConf(g.pool.Database, n)
	if err == nil {
		var conn *pgx.Conn
		if conn, err = pgx.ConnectConfig(ctx, conf); err == nil {
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // read only: nothing can be lost
			f.read(ctx, conn, g.pool.Replication.User)
		}
	}
	f.fail(err)
	f.Refused = errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) || f.Code == "57P03"
	return f
}

// fail notes why a login did not work.
func (l *Login) fail(err error) {
	if err == nil {
		return
	}
	l.Err = strings.Join(strings.Fields(err.Error()), " ") // one line
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		l.Code, l.Err = pg.Code, pg.Severity+": "+pg.Message
	}
}

// ReadSQL reads the facts of a node over a connection of somebody else, such as
// an administrator; Role then tells of that one. standbyRole is the replication
// role's name.
func ReadSQL(ctx context.Context, conn *pgx.Conn, standbyRole string) SQLFacts {
	f := SQLFacts{Login: Login{Tried: true, User: conn.Config().User}, Missed: map[string]string{}}
	f.read(ctx, conn, standbyRole)
	return f
}

// read fills the facts of a node from an open connection. What fails is noted
// for its group and leaves the others.
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
}

func (f *SQLFacts) readState(ctx context.Context, conn *pgx.Conn) error {
	var sysid, tli string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
	       s.system_identifier::text,
	       coalesce((SELECT received_tli FROM pg_stat_wal_receiver), c.timeline_id)::text
	  FROM pg_control_system() s, pg_control_checkpoint() c`).Scan(&f.Version, &f.InRecovery, &sysid, &tli)
	if err != nil {
		return err
	}
	id, err := strconv.ParseUint(sysid, 10, 64)
	if err != nil {
		return fmt.Errorf("system identifier %q: %w", sysid, err)
	}
	line, err := strconv.ParseUint(tli, 10, 32)
	if err != nil {
		return fmt.Errorf("timeline %q: %w", tli, err)
	}
	f.SystemID, f.Timeline = topology.SystemID(id), topology.TimelineID(line)
	return nil
}

func (f *SQLFacts) readRole(ctx context.Context, conn *pgx.Conn, standbyRole string) error {
	r := &f.Role
	err := conn.QueryRow(ctx, `SELECT rolsuper, rolreplication, pg_has_role(current_user, 'pg_monitor', 'USAGE'),
	       CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint')
	            THEN rolsuper OR pg_has_role(current_user, (SELECT oid FROM pg_roles WHERE rolname = 'pg_checkpoint'), 'USAGE')
	            ELSE rolsuper END
	  FROM pg_roles WHERE rolname = current_user`).Scan(&r.Superuser, &r.Replication, &r.Monitor, &r.Checkpoint)
	if err != nil {
		return err
	}
	r.Functions = map[string]bool{}
	for _, fn := range Functions {
		var may bool
		if err := conn.QueryRow(ctx, `SELECT has_function_privilege(current_user, $1, 'EXECUTE')`, fn).Scan(&may); err != nil {
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

// watched are the settings that checks rest on; those that the role may not
// see are simply absent from the answer.
var watched = append([]string{"wal_log_hints", "data_checksums", "full_page_writes", "wal_level", "wal_keep_size",
	"max_slot_wal_keep_size", "max_replication_slots", "hot_standby", "primary_conninfo", "primary_slot_name",
	"data_directory", "hba_file", "config_file", "ssl", "cluster_name", "synchronous_standby_names", "fsync"}, hotStandbySettings...)

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
	info, err := pgdata.ParseConnInfo(f.Settings["primary_conninfo"])
	delete(f.Settings, "primary_conninfo") // may hold a password
	f.Upstream = info.Without("password", "sslpassword")
	return err
}

func (f *SQLFacts) readSlots(ctx context.Context, conn *pgx.Conn) error {
	var slots string
	err := conn.QueryRow(ctx, `SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active,
	       'physical', slot_type = 'physical', 'restart', coalesce(restart_lsn, '0/0')::text,
	       'wal_status', coalesce(wal_status, ''))), '[]')::text FROM pg_replication_slots`).Scan(&slots)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(slots), &f.Slots)
}

// readCollations asks for the version of each collation library: indexes on
// text are only valid on nodes where they are equal.
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

func (f *SQLFacts) readSizes(ctx context.Context, conn *pgx.Conn) error {
	var bytes int64
	var spaces string
	err := conn.QueryRow(ctx, `SELECT (SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database),
	  coalesce((SELECT string_agg(spcname, ',' ORDER BY spcname) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''), '')`).Scan(&bytes, &spaces)
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
func (g *gatherer) replication(ctx context.Context, n config.NodeConf) Login {
	l := Login{Tried: true, User: g.pool.Replication.User}
	conf, err := g.connConf(g.pool.Replication, n)
	if err != nil {
		l.fail(err)
		return l
	}
	conf.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(ctx, &conf.Config)
	if err == nil {
		_, err = conn.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
		_ = conn.Close(context.WithoutCancel(ctx)) // asked only
	}
	l.fail(err)
	return l
}
