package observe

import (
	"context"
	"sync"
	"time"
)

// source is something to query. A query that outlives its caller's patience goes
// on, and the next caller joins it instead of sending another: a frozen server
// holds one connection, not one for each pass.
type source[T any] struct {
	ok       func(T) bool
	deadline time.Duration // ends a query for good
	opts     Options

	mu   sync.Mutex
	open *query[T] // nil: none
	// late is the newest answer that came after its callers had given up.
	late *query[T]
	sick bool // the newest query failed, was answered late, or is still open
}

// query is one call of ask. Its answer is there once done is closed.
type query[T any] struct {
	key    string
	asked  time.Time
	done   chan struct{}
	answer T
	lost   bool // a caller has given up on it
}

// want says which answer a caller accepts.
type want[T any] struct {
	// key names what is asked. An open query with another key is waited for, but its
	// answer is not accepted.
	key string
	// fresh accepts only the answer to a query sent after this call began.
	fresh bool
	ask   func(context.Context) T
}

// get sends a query, or joins the open one, and waits: less long for a source that
// did not answer last time. Not answered: there is no answer in that time, nor one
// that came too late for the previous call.
func (s *source[T]) get(ctx context.Context, w want[T]) (answer T, answered bool) {
	began := time.Now()
	timer := time.NewTimer(s.patience(w))
	defer timer.Stop()
	for {
		q := s.join(ctx, w)
		select {
		case <-q.done:
			if q.key == w.key && (!w.fresh || !q.asked.Before(began)) {
				s.taken(q)
				return q.answer, true
			}
		case <-timer.C:
			return s.giveUp(q, w)
		case <-ctx.Done():
			return answer, false // says nothing about the source
		}
	}
}

func (s *source[T]) patience(w want[T]) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sick && !w.fresh {
		return s.opts.SickPatience
	}
	return s.opts.Patience
}

// join returns the open query, or starts one. It does not depend on the caller's
// context: the source's own deadline ends it.
func (s *source[T]) join(ctx context.Context, w want[T]) *query[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = &query[T]{key: w.key, asked: time.Now(), done: make(chan struct{})}
		go s.run(context.WithoutCancel(ctx), s.open, w.ask)
	}
	return s.open
}

func (s *source[T]) run(ctx context.Context, q *query[T], ask func(context.Context) T) {
	ctx, cancel := context.WithTimeout(ctx, s.deadline)
	defer cancel()
	q.answer = ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.late = nil, nil
	s.sick = !s.ok(q.answer) || time.Since(q.asked) > s.opts.Patience
	if q.lost {
		s.late = q
	}
	close(q.done)
}

// taken notes that a caller got q's answer after all.
func (s *source[T]) taken(q *query[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late == q {
		s.late = nil
	}
}

// giveUp leaves q open. It returns, once, an answer that came too late for the
// previous call.
func (s *source[T]) giveUp(q *query[T], w want[T]) (answer T, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == q {
		q.lost, s.sick = true, true
	} else if s.late == nil {
		s.late = q // answered at this very moment
	}
	late := s.late
	if late == nil || w.fresh || late.key != w.key {
		return answer, false
	}
	s.late = nil
	return late.answer, true
}
