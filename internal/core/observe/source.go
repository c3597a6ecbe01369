package observe

import (
	"context"
	"sync"
	"time"
)

// source is one thing that can be asked. A question that outlives the
// caller's patience stays open, and the next caller joins it instead of asking
// again: a frozen server holds one connection, not one for each pass.
type source[T any] struct {
	ok       func(T) bool
	deadline time.Duration // ends a question for good
	opts     Options

	mu   sync.Mutex
	open *question[T] // nil: none
	// late is the newest answer that came when its callers had given up.
	late *question[T]
	sick bool // the newest question was answered late, or by an error, or is open still
}

// question is one call of ask. Its answer is there when done is closed.
type question[T any] struct {
	key    string
	asked  time.Time
	done   chan struct{}
	answer T
	lost   bool // a caller has given it up
}

// want is what a caller takes for an answer.
type want[T any] struct {
	// key names what is asked; an open question under another key is waited for
	// and not taken.
	key string
	// anew: nothing that was asked before this call is an answer.
	anew bool
	ask  func(context.Context) T
}

// get asks, or joins the open question, and waits as long as the source's
// record deserves. answered is false when there is no answer in that time, nor
// one that came too late for the call before.
func (s *source[T]) get(ctx context.Context, w want[T]) (answer T, answered bool) {
	began := time.Now()
	timer := time.NewTimer(s.patience(w))
	defer timer.Stop()
	for {
		q := s.join(ctx, w)
		select {
		case <-q.done:
			if q.key == w.key && (!w.anew || !q.asked.Before(began)) {
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
	if s.sick && !w.anew {
		return s.opts.SickPatience
	}
	return s.opts.Patience
}

// join gives the open question, and opens one where there is none. The answer
// is not bound to the caller's context: the source's own deadline ends it.
func (s *source[T]) join(ctx context.Context, w want[T]) *question[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = &question[T]{key: w.key, asked: time.Now(), done: make(chan struct{})}
		go s.run(context.WithoutCancel(ctx), s.open, w.ask)
	}
	return s.open
}

func (s *source[T]) run(ctx context.Context, q *question[T], ask func(context.Context) T) {
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

// taken notes that somebody got q's answer after all.
func (s *source[T]) taken(q *question[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late == q {
		s.late = nil
	}
}

// giveUp leaves q open and takes, once, what came too late for the call before.
func (s *source[T]) giveUp(q *question[T], w want[T]) (answer T, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == q {
		q.lost, s.sick = true, true
	} else if s.late == nil {
		s.late = q // answered in this very moment
	}
	late := s.late
	if late == nil || w.anew || late.key != w.key {
		return answer, false
	}
	s.late = nil
	return late.answer, true
}
