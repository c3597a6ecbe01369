package observe

import (
	"context"
	"sync"
	"time"
)

// background asks a question of its own accord now and then, while callers take
// the newest answer and never wait.
type background[T any] struct {
	every    time.Duration // from one question to the next; zero: it is never asked
	deadline time.Duration
	ask      func(context.Context) T

	mu     sync.Mutex
	answer T
	asked  time.Time
	open   bool
}

// newest gives the newest answer, and asks anew where that is due. The zero T
// says that there is none yet.
func (b *background[T]) newest(ctx context.Context) T {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.every > 0 && !b.open && time.Since(b.asked) >= b.every {
		b.open, b.asked = true, time.Now()
		go b.run(context.WithoutCancel(ctx))
	}
	return b.answer
}

// run is bound by its own deadline, and by nothing that the caller waits for.
func (b *background[T]) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.deadline)
	defer cancel()
	answer := b.ask(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer, b.open = answer, false
}
