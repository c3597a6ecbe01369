package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // pure Go, so that the binary stays static
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/repool/repool/internal/event"
	"github.com/repool/repool/internal/topology"
)

// Event and Filter are package event's: what is kept, and how it is looked for.
type (
	Event  = event.Event
	Filter = event.Filter
)

// MaxLimit is the most events that one List gives.
const MaxLimit = event.MaxLimit

// Store is the open file. Its methods may be called from several goroutines.
type Store struct {
	db   *sql.DB
	path string
}

const schema = `
CREATE TABLE IF NOT EXISTS events (
	id   INTEGER PRIMARY KEY AUTOINCREMENT,
	at   INTEGER NOT NULL, -- Unix microseconds
	node INTEGER NOT NULL,
	kind TEXT NOT NULL,
	code TEXT NOT NULL,
	text TEXT NOT NULL,
	data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_at ON events (at);
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT NOT NULL);`

// FileName is the store's file in the state directory.
const FileName = "history.db"

// Open opens the store in dir, and makes it where it is missing.
func Open(ctx context.Context, dir string) (*Store, error) {
	s, err := open(dir, "_pragma=busy_timeout(3000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=cache_size(-512)")
	if err != nil {
		return nil, err
	}
	if _, err := s.db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(s.failed("open", err), s.Close())
	}
	return s, nil
}

// OpenReadOnly opens an existing store without changing it; fs.ErrNotExist
// when there is none.
func OpenReadOnly(dir string) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return open(dir, "mode=ro&_pragma=busy_timeout(3000)")
}

// open makes a Store; the file is opened with the first query. SQLite reads
// the name as a URI, so a path with a question mark in it must be quoted.
func open(dir, options string) (*Store, error) {
	path, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: options}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &Store{db: db, path: path}, nil
}

// failed says what was attempted on which file, and what helps where the file
// itself is the trouble.
func (s *Store) failed(what string, err error) error {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		switch coded.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			return fmt.Errorf("%s history %s: %w; move the file aside, and a new one is made: holds and parked nodes are forgotten with it", what, s.path, err)
		}
	}
	return fmt.Errorf("%s history %s: %w", what, s.path, err)
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Add appends one event; its ID is ignored. The newest events may be lost with
// the host's power, not with the process.
func (s *Store) Add(ctx context.Context, e Event) error {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	data := string(e.Data)
	if data == "" {
		data = "null"
	}
	_, err := s.db.ExecContext(ctx, `INSERT INTO events (at, node, kind, code, text, data) VALUES (?, ?, ?, ?, ?, ?)`,
		e.At.UnixMicro(), int(e.Node), e.Kind, e.Code, e.Text, data)
	if err != nil {
		return s.failed("write", err)
	}
	return nil
}

// List gives the newest events that match, oldest first.
func (s *Store) List(ctx context.Context, f Filter) ([]Event, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, MaxLimit)
	q := `SELECT id, at, node, kind, code, text, data FROM events WHERE at >= ?`
	args := []any{f.Since.UnixMicro()}
	if f.Since.IsZero() {
		args[0] = int64(0)
	}
	if f.Node != nil {
		q += ` AND node = ?`
		args = append(args, int(*f.Node))
	}
	if f.Kind != "" {
		q += ` AND kind = ?`
		args = append(args, f.Kind)
	}
	q = `SELECT * FROM (` + q + ` ORDER BY id DESC LIMIT ?) ORDER BY id`
	rows, err := s.db.QueryContext(ctx, q, append(args, f.Limit)...)
	if err != nil {
		return nil, s.failed("read", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		var e Event
		var at int64
		var node int
		var data string
		if err := rows.Scan(&e.ID, &at, &node, &e.Kind, &e.Code, &e.Text, &data); err != nil {
			return nil, s.failed("read", err)
		}
		e.At, e.Node, e.Data = time.UnixMicro(at), topology.NodeID(node), json.RawMessage(data)
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, s.failed("read", err)
	}
	return out, nil
}

// Keep stores a named value as JSON, replacing the one before. When it returns
// the value is on the disk: it holds what people asked for.
func (s *Store) Keep(ctx context.Context, name string, value any) (err error) {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return s.failed("keep "+name+" in", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = full`); err != nil {
		return s.failed("keep "+name+" in", err)
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, string(b))
	_, back := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = normal`)
	if err := errors.Join(err, back); err != nil {
		return s.failed("keep "+name+" in", err)
	}
	return nil
}

// Kept reads what Keep stored into value; found is false when there is none.
func (s *Store) Kept(ctx context.Context, name string, value any) (found bool, err error) {
	var b string
	err = s.db.QueryRowContext(ctx, `SELECT value FROM kept WHERE name = ?`, name).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, s.failed("read "+name+" from", err)
	}
	if err := json.Unmarshal([]byte(b), value); err != nil {
		return false, fmt.Errorf("read %s from history %s: %w; move the file aside, and a new one is made: holds and parked nodes are forgotten with it", name, s.path, err)
	}
	return true, nil
}

// Prune removes events older than before, and the oldest of those past most,
// so that a node that flaps for weeks cannot fill the disk.
func (s *Store) Prune(ctx context.Context, before time.Time, most int) error {
	for _, q := range []struct {
		sql string
		arg int64
	}{
		{`DELETE FROM events WHERE at < ?`, before.UnixMicro()},
		{`DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?`, int64(most)},
	} {
		if _, err := s.db.ExecContext(ctx, q.sql, q.arg); err != nil {
			return s.failed("prune", err)
		}
	}
	return nil
}
