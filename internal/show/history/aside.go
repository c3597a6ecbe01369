package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// keepAsides is how many damaged files are kept, so that they cannot fill the disk.
const keepAsides = 3

// Asides are the files that this Store could not use, oldest first.
func (s *Store) Asides() []event.Aside {
	s.noted.Lock()
	defer s.noted.Unlock()
	return slices.Clone(s.asides)
}

// SetAside begins a new file, without the kept value of that name, since that
// is what cannot be used.
func (s *Store) SetAside(ctx context.Context, why error, without string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted.Lock()
	delete(s.kept, without)
	s.noted.Unlock()
	if err := s.db.Close(); err != nil {
		why = errors.Join(why, err)
	}
	return s.begin(ctx, why, without)
}

// replace is for damage that shows while the file is in use; another caller may
// have replaced it meanwhile.
func (s *Store) replace(ctx context.Context, bad *sql.DB, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != bad {
		return nil
	}
	if err := bad.Close(); err != nil {
		why = errors.Join(why, err)
	}
	return s.begin(ctx, why, "")
}

// begin sets the file aside and opens a new one, with what could be saved of
// the kept values. s.mu is held, or s is not known to anybody yet.
func (s *Store) begin(ctx context.Context, why error, without string) error {
	ctx = context.WithoutCancel(ctx) // half of this would be worse than none
	a := event.Aside{At: time.Now(), Why: why.Error()}
	saved := s.salvage(ctx, without)
	err := error(nil)
	if unfit(why) {
		if a.Path, err = s.moveAside(a.At); err == nil {
			s.db, err = openForWriting(ctx, s.path)
		}
	}
	if a.Path == "" || err != nil { // a lock or a full disk: the file may be good
		if err != nil {
			a.Path, a.Why = "", a.Why+"; "+err.Error()
		}
		if s.db, err = openForWriting(ctx, inMemory); err != nil {
			return err
		}
	}
	for name, value := range saved {
		if err := keep(ctx, s.db, name, value); err != nil {
			a.Why += "; " + err.Error()
			continue
		}
		a.Saved = append(a.Saved, name)
	}
	s.noted.Lock()
	s.asides = append(s.asides, a)
	s.noted.Unlock()
	_, err = s.db.ExecContext(ctx, `INSERT INTO events (at, node, kind, code, text, data, run) VALUES (?, ?, `+
		`'controller', ?, ?, 'null', '')`,
		a.At.UnixMicro(), int(topology.NoNode), string(codes.HistorySetAside), a.Text())
	return err
}

// salvage reads the kept values that can still be read, over which what this
// process knows of them stands.
func (s *Store) salvage(ctx context.Context, without string) map[string]string {
	saved := map[string]string{}
	// What is not yet in the main file can only be read with its journal, which
	// a file that must not be written may not open.
	for _, how := range []string{"mode=ro&immutable=1", "mode=ro&_pragma=busy_timeout(200)"} {
		db, err := dial(s.path, how)
		if err != nil {
			continue
		}
		maps.Copy(saved, keptIn(ctx, db))
		_ = db.Close() // nothing was written
	}
	s.noted.Lock()
	maps.Copy(saved, s.kept)
	s.noted.Unlock()
	delete(saved, without)
	return saved
}

func keptIn(ctx context.Context, db *sql.DB) map[string]string {
	out := map[string]string{}
	rows, err := db.QueryContext(ctx, `SELECT name, value FROM kept`)
	if err != nil {
		return out
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if rows.Scan(&name, &value) == nil && json.Valid([]byte(value)) {
			out[name] = value
		}
	}
	_ = rows.Err() // what could be read counts
	return out
}

// moveAside renames the file and its journal, and removes the oldest of those
// that were set aside before.
func (s *Store) moveAside(at time.Time) (string, error) {
	to := s.path + ".damaged-" + at.UTC().Format("20060102T150405.000")
	for _, part := range []string{"-wal", "-shm", ""} { // the journal first: it belongs to no other file
		if err := os.Rename(s.path+part, to+part); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("set the history aside: %w", err)
		}
	}
	old, err := filepath.Glob(s.path + ".damaged-*[0-9]")
	if err != nil {
		return to, nil //nolint:nilerr // a path that is no pattern only leaves old files where they are
	}
	slices.Sort(old)
	for _, f := range old[:max(0, len(old)-keepAsides)] {
		for _, part := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(f + part) // it is only in the way
		}
	}
	return to, nil
}

// recall remembers a kept value for the case that the file is lost.
func (s *Store) recall(name, value string) {
	s.noted.Lock()
	s.kept[name] = value
	s.noted.Unlock()
}
