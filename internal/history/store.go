// Package history is the controller's durable memory: what happened (events),
// and what the planner must remember (one JSON value). It is one SQLite file
// in the controller's state directory, so that `repool history` can read it
// while the controller runs, or after it has died.
//
// Store is the only type. Nothing here decides anything, and losing the file
// loses the story and the holds, never a node's safety: what a resync must
// know is in the node's own journal.
package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // pure Go, so that the binary stays static

	"github.com/repool/repool/internal/topology"
)

// Event is one thing that happened, as people read it later.
type Event struct {
	ID   int64           `json:"id"`
	At   time.Time       `json:"at"`
	Node topology.NodeID `json:"node"` // NoNode: the pool as a whole
	Kind string          `json:"kind"` // decision, run, attach, detach, fence, hold, release, hook, controller
	Code string          `json:"code"`
	Text string          `json:"text"`
	// Data is a JSON value with the facts: a run's journal, a decision's evidence.
	Data json.RawMessage `json:"data,omitempty"`
}

// Filter narrows List. Zero values do not.
type Filter struct {
	Node  *topology.NodeID
	Kind  string
	Since time.Time
	Limit int // newest so many; zero: 100
}

// Store is the open file.
type Store struct{ db *sql.DB }

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
	path := filepath.Join(dir, FileName)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(3000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=cache_size(-512)")
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare history %s: %w", path, err), db.Close())
	}
	return &Store{db: db}, nil
}

// OpenReadOnly opens an existing store without changing it; fs.ErrNotExist
// when there is none.
func OpenReadOnly(dir string) (*Store, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(3000)")
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &Store{db: db}, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Add appends one event and gives it its id.
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
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// List gives the newest events that match, oldest first.
func (s *Store) List(ctx context.Context, f Filter) ([]Event, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
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
		return nil, fmt.Errorf("read history: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		var e Event
		var at int64
		var node int
		var data string
		if err := rows.Scan(&e.ID, &at, &node, &e.Kind, &e.Code, &e.Text, &data); err != nil {
			return nil, fmt.Errorf("read history: %w", err)
		}
		e.At, e.Node, e.Data = time.UnixMicro(at), topology.NodeID(node), json.RawMessage(data)
		out = append(out, e)
	}
	return out, rows.Err()
}

// Keep stores a named value as JSON, replacing the one before.
func (s *Store) Keep(ctx context.Context, name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, string(b))
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
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
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal([]byte(b), value); err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return true, nil
}

// Prune removes events older than before.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM events WHERE at < ?`, before.UnixMicro()); err != nil {
		return fmt.Errorf("prune history: %w", err)
	}
	return nil
}
