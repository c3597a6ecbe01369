package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// Add appends one event; its ID is ignored. The newest events may be lost with
// the host's power, not with the process.
func (s *Store) Add(ctx context.Context, e event.Event) error {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	data := string(e.Data)
	if data == "" {
		data = "null"
	}
	return s.use(ctx, "write", func(db *sql.DB) error {
		_, err := db.ExecContext(ctx,
			`INSERT INTO events (at, node, kind, code, text, data, run) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			e.At.UnixMicro(), int(e.Node), e.Kind, e.Code, e.Text, data, e.Run)
		return err
	})
}

// List gives the newest events that match, oldest first.
func (s *Store) List(ctx context.Context, f event.Filter) (out []event.Event, err error) {
	where, args := where(f)
	err = s.use(ctx, "read", func(db *sql.DB) error {
		out, err = list(ctx, db, s.columns(), where, args)
		return err
	})
	return out, err
}

// where is f as SQL, with the limit's argument last.
func where(f event.Filter) (sql string, args []any) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	sql = "TRUE"
	and := func(cond string, arg any) { sql, args = sql+" AND "+cond, append(args, arg) }
	if !f.Since.IsZero() {
		and("at >= ?", f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		and("at < ?", f.Until.UnixMicro())
	}
	if f.Node != nil {
		and("node = ?", int(*f.Node))
	}
	for _, c := range []struct{ column, value string }{{"kind", f.Kind}, {"code", f.Code}, {"run", f.Run}} {
		if c.value != "" {
			and(c.column+" = ?", c.value)
		}
	}
	return sql, append(args, min(f.Limit, event.MaxLimit))
}

func list(ctx context.Context, db *sql.DB, columns, where string, args []any) ([]event.Event, error) {
	rows, err := db.QueryContext(ctx, `SELECT * FROM (SELECT `+columns+` FROM events WHERE `+where+
		` ORDER BY id DESC LIMIT ?) ORDER BY id`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []event.Event
	for rows.Next() {
		var e event.Event
		var at int64
		var node int
		var data string
		if err := rows.Scan(&e.ID, &at, &node, &e.Kind, &e.Code, &e.Text, &data, &e.Run); err != nil {
			return nil, err
		}
		e.At, e.Node, e.Data = time.UnixMicro(at), topology.NodeID(node), json.RawMessage(data)
		out = append(out, e)
	}
	return out, rows.Err()
}

// Keep stores a named value as JSON, replacing the previous one. When it returns, the
// value is on disk: it may be a person's request.
func (s *Store) Keep(ctx context.Context, name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := s.use(ctx, "keep "+name+" in",
		func(db *sql.DB) error { return keep(ctx, db, name, string(b)) }); err != nil {
		return err
	}
	s.recall(name, string(b))
	return nil
}

func keep(ctx context.Context, db *sql.DB, name, value string) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = full`); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO kept (name, value) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	_, back := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = normal`)
	return errors.Join(err, back)
}

// Kept reads what Keep stored into value; found is false if there is nothing.
func (s *Store) Kept(ctx context.Context, name string, value any) (found bool, err error) {
	var b string
	err = s.use(ctx, "read "+name+" from", func(db *sql.DB) error {
		err := db.QueryRowContext(ctx, `SELECT value FROM kept WHERE name = ?`, name).Scan(&b)
		found = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || !found {
		return false, err
	}
	if err := json.Unmarshal([]byte(b), value); err != nil {
		return false, fmt.Errorf("read %s from history %s: %w: %w; repool serve sets the file aside and creates a new one",
			name, s.path, event.ErrGarbled, err)
	}
	s.recall(name, b)
	return true, nil
}

// Prune removes events older than before, and the oldest ones beyond most, so that a
// node that flaps for weeks cannot fill the disk.
func (s *Store) Prune(ctx context.Context, before time.Time, most int) error {
	return s.use(ctx, "prune", func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, `DELETE FROM events WHERE at < ?`, before.UnixMicro()); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, `DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?`, int64(most))
		return err
	})
}
