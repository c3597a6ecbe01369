package dbhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
)

// lastCheckpoint is the redo point of the last checkpoint at or before until;
// zero when its WAL is gone. The control file's own is taken when it fits,
// since the way back to the one before can be long.
func (h *Host) lastCheckpoint(ctx context.Context, w *pgdata.WAL, c pgdata.Control, dir string,
	until topology.LSN) (topology.LSN, error) {
	if c.CheckpointLSN < until {
		r, err := w.RecordAt(c.CheckpointLSN)
		if err == nil && r.IsCheckpoint() && r.End <= until {
			if _, err := w.OldestSegment(c.RedoLSN); err == nil {
				return c.RedoLSN, nil
			}
		}
	}
	of := searched{data: dataID(dir), history: w.History().Text(), before: until}
	found, err := h.checkpoints.find(ctx, of, dir)
	if err != nil {
		return 0, missingWAL(err)
	}
	// It may have been found long ago: is it still there?
	r, err := w.RecordAt(found.Record.Start)
	if err != nil {
		return 0, missingWAL(err)
	}
	if r.CRC != found.Record.CRC {
		return 0, fmt.Errorf("the WAL at %s has changed while it was looked at", r.Start)
	}
	return found.Redo, nil
}

// missingWAL is nil for an error that only says that the WAL is not there.
func missingWAL(err error) error {
	var stop *pgdata.WALError
	if errors.As(err, &stop) && (stop.Err == nil || errors.Is(err, pgdata.ErrNoSegment)) {
		return nil
	}
	return err
}

// searched says what a search is for. The answer can only change with it.
type searched struct {
	data    string // topology.Inspection.DataID
	history string
	before  topology.LSN
}

// errSearching is returned when the caller's time is over and the search goes on.
var errSearching = errors.New("the search for the last common checkpoint goes on")

// forgetAfter is how long nobody must have asked for a search until it ends, or its
// answer is forgotten.
const forgetAfter = 2 * time.Minute

// checkpointSearches looks for checkpoints, one search at a time: each reads at the
// speed of the disk. A search outlives the call that began it. Close it.
type checkpointSearches struct {
	mu    sync.Mutex // guards all but the inside of a search
	byKey map[searched]*checkpointSearch
	ctx   context.Context
	stop  context.CancelFunc
	turn  chan struct{}
	wg    sync.WaitGroup
}

// checkpointSearch is one search. It keeps its place when it is stopped.
type checkpointSearch struct {
	search pgdata.CheckpointSearch
	passed atomic.Uint64 // how far back everything has been read; zero: nothing has
	asked  time.Time     // when somebody last wanted to know
	last   *attempt      // nil: none was made
}

// attempt is one try of a search. The answer is there when done is closed.
type attempt struct {
	done  chan struct{}
	found pgdata.Checkpoint
	err   error
}

// ended says whether the attempt is over.
func (a *attempt) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func newCheckpointSearches() *checkpointSearches {
	ctx, stop := context.WithCancel(context.Background())
	return &checkpointSearches{byKey: map[searched]*checkpointSearch{}, ctx: ctx, stop: stop,
		turn: make(chan struct{}, 1)}
}

// close ends all searches and waits for them.
func (m *checkpointSearches) close() {
	m.stop()
	m.wg.Wait()
}

// find returns the answer, known or new. When ctx ends first, the search goes on,
// and a later call takes its answer.
func (m *checkpointSearches) find(ctx context.Context, of searched, dir string) (pgdata.Checkpoint, error) {
	s, a := m.join(of, dir)
	select {
	case <-a.done:
	case <-ctx.Done():
		if !a.ended() {
			return pgdata.Checkpoint{}, s.unfinished()
		}
	}
	return a.found, a.err
}

// join gives the search for of, which runs or has found its answer.
func (m *checkpointSearches) join(of searched, dir string) (*checkpointSearch, *attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for key, old := range m.byKey {
		if now.Sub(old.asked) > forgetAfter && old.last.ended() {
			delete(m.byKey, key)
		}
	}
	s := m.byKey[of]
	if s == nil {
		s = &checkpointSearch{search: pgdata.CheckpointSearch{Before: of.before}}
		m.byKey[of] = s
	}
	s.asked = now
	if s.last == nil || s.last.ended() && s.last.err != nil {
		a := &attempt{done: make(chan struct{})}
		s.last = a
		m.wg.Go(func() {
			defer close(a.done)
			a.found, a.err = m.run(s, of, dir)
		})
	}
	return s, s.last
}

// run makes one attempt, when no other search runs.
func (m *checkpointSearches) run(s *checkpointSearch, of searched, dir string) (pgdata.Checkpoint, error) {
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return pgdata.Checkpoint{}, context.Cause(ctx)
	}
	w, _, err := pgdata.OpenOwnWAL(dir)
	if err != nil {
		return pgdata.Checkpoint{}, err
	}
	defer w.Close()
	w.StopWith(ctx)
	s.search.Passed = func(at topology.LSN) {
		s.passed.Store(uint64(at))
		if m.forgotten(s) {
			cancel(errors.New("nobody waits for this search any more"))
		}
	}
	found, err := s.search.Run(w)
	if dataID(dir) != of.data || w.History().Text() != of.history {
		return pgdata.Checkpoint{}, errors.New("the data directory was replaced while its WAL was read")
	}
	return found, err
}

func (m *checkpointSearches) forgotten(s *checkpointSearch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(s.asked) > forgetAfter
}

// unfinished says how far a search is that still runs.
func (s *checkpointSearch) unfinished() error {
	at := topology.LSN(s.passed.Load())
	if at == 0 {
		return errSearching
	}
	return fmt.Errorf("%w: %s of WAL before %s have been read", errSearching,
		humanize.IBytes(s.search.Before.Minus(at)), s.search.Before)
}
