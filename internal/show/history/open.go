package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	_ "modernc.org/sqlite" // pure Go, so that the binary stays static
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/repool/repool/internal/show/event"
)

// Store is the open file. It is safe for concurrent use.
type Store struct {
	path     string
	readOnly bool
	withRun  bool // the file has events.run; one from before 0.2 that is only read lacks it

	mu     sync.RWMutex // guards db against replacement while in use
	db     *sql.DB
	noted  sync.Mutex        // guards what follows
	kept   map[string]string // what Keep has stored and Kept has read, for a new file
	asides []event.Aside
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

const (
	// FileName is the store's file in the state directory.
	FileName = "history.db"
	// lookDeadline bounds the check for damage at the start: in a file so large that
	// it takes longer, damage shows when it is read.
	lookDeadline = 3 * time.Second

	forWriting = "_pragma=busy_timeout(3000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)" +
		"&_pragma=cache_size(-512)"
	forReading = "mode=ro&_pragma=busy_timeout(3000)"
	inMemory   = ":memory:"
)

// Open opens the store in dir, and creates it if it is missing. A file that cannot be
// used is set aside (see Asides) and is not an error: the controller can repair nodes
// without a history. The error is about a missing directory, or ctx.
func Open(ctx context.Context, dir string) (*Store, error) {
	path, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	s := &Store{path: path, withRun: true, kept: map[string]string{}}
	db, err := openForWriting(ctx, path)
	if err == nil {
		s.db = db
		return s, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("open history %s: %w", path, ctx.Err())
	}
	return s, s.begin(ctx, err, "")
}

// openForWriting opens the file at path, adds what it lacks, and checks that it is
// sound and writable.
func openForWriting(ctx context.Context, path string) (*sql.DB, error) {
	db, err := dial(path, forWriting)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func prepare(ctx context.Context, db *sql.DB) error {
	lctx, cancel := context.WithTimeout(ctx, lookDeadline)
	defer cancel()
	var verdict string
	err := db.QueryRowContext(lctx, `PRAGMA quick_check(1)`).Scan(&verdict)
	switch {
	case err != nil && lctx.Err() != nil && ctx.Err() == nil:
	case err != nil:
		return err
	case verdict != "ok":
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	has, err := hasRun(ctx, db)
	if err != nil {
		return err
	}
	if !has {
		if _, err := db.ExecContext(ctx, `ALTER TABLE events ADD COLUMN run TEXT NOT NULL DEFAULT ''`); err != nil {
			return err
		}
	}
	if _, err := db.ExecContext(ctx, `CREATE INDEX IF NOT EXISTS events_run ON events (run) WHERE run <> ''`); err != nil {
		return err
	}
	// Missing tables and columns show only when they are used.
	_, err = db.ExecContext(ctx, `BEGIN IMMEDIATE;
		UPDATE events SET run = run, at = at, node = node, kind = kind, code = code, text = text, data = data WHERE id = -1;
		UPDATE kept SET value = value WHERE name = ''; ROLLBACK`)
	return err
}

func hasRun(ctx context.Context, db *sql.DB) (bool, error) {
	var n int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM pragma_table_info('events') WHERE name = 'run'`).Scan(&n)
	return n > 0, err
}

// OpenReadOnly opens an existing store without changing it; fs.ErrNotExist if there
// is none.
func OpenReadOnly(dir string) (*Store, error) {
	path, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	db, err := dial(path, forReading)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, readOnly: true, db: db, kept: map[string]string{}}
	s.withRun, err = hasRun(context.Background(), db)
	_ = err // reading will report it
	return s, nil
}

// dial makes the handle; the first query opens the file. SQLite reads the name as a
// URI, so a path with a question mark in it must be quoted.
func dial(path, options string) (*sql.DB, error) {
	name := url.URL{Scheme: "file", Path: path, RawQuery: options}
	if path == inMemory {
		name = url.URL{Scheme: "file", Opaque: path, RawQuery: options}
	}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// columns are what List reads, in order.
func (s *Store) columns() string {
	if s.withRun {
		return "id, at, node, kind, code, text, data, run"
	}
	return "id, at, node, kind, code, text, data, '' AS run"
}

// Close closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.Close()
}

// use runs f with the open file. If the file turns out to be unusable it is set
// aside, and f runs again with a new one.
func (s *Store) use(ctx context.Context, what string, f func(*sql.DB) error) error {
	s.mu.RLock()
	db := s.db
	err := f(db)
	s.mu.RUnlock()
	if err != nil && !s.readOnly && useless(err) {
		if err := s.replace(ctx, db, err); err != nil {
			return s.failed(what, err)
		}
		s.mu.RLock()
		err = f(s.db)
		s.mu.RUnlock()
	}
	if err != nil {
		return s.failed(what, err)
	}
	return nil
}

// errDamaged is what SQLite's own check found.
var errDamaged = errors.New("the file is damaged")

// useless says that an error is permanent: a lock, a full disk or a cancelled request
// are not.
func useless(err error) bool {
	return errors.Is(err, errDamaged) || hasCode(err, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT,
		sqlite3.SQLITE_READONLY)
}

// unfit is useless, or what only opening shows: no file, or one with other tables.
func unfit(err error) bool {
	return useless(err) || errors.Is(err, event.ErrGarbled) || hasCode(err, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
		sqlite3.SQLITE_ERROR)
}

func hasCode(err error, codes ...int) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && slices.Contains(codes, coded.Code()&0xff)
}

// failed says what was attempted on which file, and the remedy if the file itself is
// the problem.
func (s *Store) failed(what string, err error) error {
	if useless(err) {
		return fmt.Errorf("%s history %s: %w; repool serve sets the file aside and creates a new one", what, s.path, err)
	}
	return fmt.Errorf("%s history %s: %w", what, s.path, err)
}
