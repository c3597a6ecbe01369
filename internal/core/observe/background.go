package observe

import (
	"context"
	"sync"
	"time"
)

// background sends a query now and then. Callers get the newest answer and never
// wait.
type background[T any] struct {
	every    time.Duration // from one query to the next; zero: never
	deadline time.Duration
	ask      func(context.Context) T

	mu     sync.Mutex
	answer T
	asked  time.Time
	open   bool
}

// newest returns the newest answer, and starts a query if one is due. The zero T:
// there is no answer yet.
func (b *background[T]) newest(ctx context.Context) T {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.every > 0 && !b.open && time.Since(b.asked) >= b.every {
		b.open, b.asked = true, time.Now()
		go b.run(context.WithoutCancel(ctx))
	}
	return b.answer
}

// run has its own deadline, independent of the caller's.
func (b *background[T]) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.deadline)
	defer cancel()
	answer := b.ask(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer, b.open = answer, false
}
