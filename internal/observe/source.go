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

	mu   sync.Mutex
	open *question[T] // nil: none
	sick bool         // the newest question had no answer in time, or an error for one
}

// question is one call of ask. Its answer is there when done is closed.
type question[T any] struct {
	key    string
	asked  time.Time
	done   chan struct{}
	answer T
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
// record deserves. answered is false when there is no answer in that time.
func (s *source[T]) get(ctx context.Context, opts Options, w want[T]) (answer T, answered bool) {
	began := time.Now()
	timer := time.NewTimer(s.patience(opts))
	defer timer.Stop()
	for {
		q := s.join(ctx, w)
		select {
		case <-q.done:
			if q.key == w.key && (!w.anew || !q.asked.Before(began)) {
				return q.answer, true
			}
		case <-timer.C:
			s.giveUp(q)
			return answer, false
		case <-ctx.Done():
			return answer, false // says nothing about the source
		}
	}
}

func (s *source[T]) patience(opts Options) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sick {
		return opts.SickPatience
	}
	return opts.Patience
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
	s.sick, s.open = !s.ok(q.answer), nil
	close(q.done)
}

// giveUp notes that q outlived its caller, unless it was answered meanwhile.
func (s *source[T]) giveUp(q *question[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == q {
		s.sick = true
	}
}
