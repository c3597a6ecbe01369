package hook

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/postgres"
)

// Recovery2nd is recovery_2nd_stage_command, which only native replication
// calls. It does what Pgpool-II's sample does: every sequence of every database
// is advanced by one, so that its value is in the WAL, and the WAL is switched.
func Recovery2nd(ctx context.Context, d Deps, args []string) (Result, error) {
	c, err := parseRecovery(args)
	if err != nil {
		return Result{}, err
	}
	if c.primaryPort == 0 {
		return Result{}, usage("the primary's port is missing, which Pgpool-II 3.4 and later pass")
	}
	host := c.primaryHost
	if host == "localhost" {
		host = "" // the script runs on the primary's own host
	}
	login := d.Pool.Database
	open := func(db string) (*pgx.Conn, error) {
		login.DBName = db
		return login.Connect(ctx, host, c.primaryPort, postgres.Session{Connect: d.Limits.filled().Probe})
	}
	if err := advanceAll(ctx, open); err != nil {
		return Result{}, exit.With(exit.Unreachable, fmt.Errorf("second stage of online recovery: %w", err))
	}
	r := Result{Code: CodeRecovered, Node: c.node, Text: "sequences of all databases advanced, WAL switched"}
	d.say("%s", r.Text)
	return r, nil
}

func advanceAll(ctx context.Context, open func(db string) (*pgx.Conn, error)) error {
	conn, err := open("template1")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // all answers are in by then
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE NOT datistemplate AND datallowconn ORDER BY 1")
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	dbs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	for _, db := range dbs {
		if err := advance(ctx, open, db); err != nil {
			return fmt.Errorf("advance sequences of %s: %w", db, err)
		}
	}
	if _, err = conn.Exec(ctx, "SELECT pg_switch_wal()"); err != nil {
		return fmt.Errorf("switch WAL: %w", err)
	}
	return nil
}

func advance(ctx context.Context, open func(db string) (*pgx.Conn, error), db string) error {
	conn, err := open(db)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // all answers are in by then
	_, err = conn.Exec(ctx, "SELECT setval(oid, nextval(oid)) FROM pg_class WHERE relkind = 'S'")
	return err
}
