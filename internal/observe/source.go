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
	ask func(context.Context) T
	ok  func(T) bool

	mu   sync.Mutex
	open chan struct{} // closed when the open question is answered; nil: none open
	val  T             // the newest answer
	sick bool          // the newest answer was none, or an error
}

// get asks, or joins the open question, and waits as long as the source's
// record deserves. answered is false when there is no answer in that time.
func (s *source[T]) get(ctx context.Context, opts Options) (val T, answered bool) {
	s.mu.Lock()
	open := s.open
	if open == nil {
		open = make(chan struct{})
		s.open = open
		go s.run(context.WithoutCancel(ctx), open, opts.Deadline)
	}
	patience := opts.Patience
	if s.sick {
		patience = opts.SickPatience
	}
	s.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-open:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.val, true
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sick = true
	return val, false
}

// run asks once. It is not bound to the caller's context: its own deadline
// ends it.
func (s *source[T]) run(ctx context.Context, open chan struct{}, deadline time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	val := s.ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.val, s.sick, s.open = val, !s.ok(val), nil
	close(open)
}
