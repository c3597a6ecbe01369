package observe

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/node/postgres"
)

// slowFacts rarely change, and are expensive to read.
type slowFacts struct {
	settings   map[string]string // nil: not read on this connection
	settingsAt time.Time
	bytes      uint64 // zero: unknown
	bytesAt    time.Time
}

// watched are the settings that decisions depend on. None can hold a password, as
// primary_conninfo can: facts reach logs, the API and pages (P10).
var watched = []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
	"max_locks_per_transaction", "max_replication_slots", "full_page_writes"}

// refresh rereads what is older than every. A map of settings is never changed:
// snapshots share it.
func (s *slowFacts) refresh(ctx context.Context, conn *pgx.Conn, every time.Duration) error {
	if s.settings == nil || time.Since(s.settingsAt) >= every {
		settings, err := readSettings(ctx, conn)
		if err != nil {
			return err
		}
		s.settings, s.settingsAt = settings, time.Now()
	}
	if s.bytesAt.IsZero() || time.Since(s.bytesAt) >= every {
		bytes, err := readSizes(ctx, conn)
		if err != nil {
			return err
		}
		s.bytes, s.bytesAt = bytes, time.Now()
	}
	return nil
}

func readSettings(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, `SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)`, watched)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	settings := map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		settings[name] = value
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return settings, nil
}

// readSizes returns 0 if the server takes too long: of a big cluster the sizes may be
// missing, but not the facts. It is one simple query, so the changed timeout ends
// with it however it ends.
func readSizes(ctx context.Context, conn *pgx.Conn) (uint64, error) {
	set := func(d time.Duration) string { return fmt.Sprintf("SET statement_timeout = %d;", d.Milliseconds()) }
	res, err := conn.PgConn().Exec(ctx, set(sizesTimeout)+`
		SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database;`+
		set(statementTimeout)).ReadAll()
	if postgres.SQLState(err) != "" && !conn.IsClosed() {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read database sizes: %w", err)
	}
	if len(res) != 3 || len(res[1].Rows) != 1 {
		return 0, fmt.Errorf("read database sizes: %d answers to 3 statements", len(res))
	}
	bytes, err := strconv.ParseUint(string(res[1].Rows[0][0]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read database sizes: %w", err)
	}
	return bytes, nil
}
