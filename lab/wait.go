package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stopped marks an error that waiting cannot fix.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

// Stop makes WaitFor give up at once with err.
func Stop(err error) error { return stopped{err} }

// WaitFor calls try until it returns nil, first after 20 ms, then more and more
// slowly up to every 150 ms. When ctx ends, or after
// a minute if ctx has no deadline, the error tells what was awaited and what
// try said last.
func WaitFor(ctx context.Context, what string, try func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
	}
	every := 20 * time.Millisecond
	next := time.NewTimer(every)
	defer next.Stop()
	start := time.Now()
	var last error
	for {
		err := try(ctx)
		var s stopped
		switch {
		case err == nil:
			return nil
		case errors.As(err, &s):
			return fmt.Errorf("wait for %s: %w", what, s.error)
		case ctx.Err() == nil || last == nil:
			last = err // not the one that the deadline itself caused
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: not within %v: %w", what, time.Since(start).Round(time.Millisecond), last)
		case <-next.C:
			every = min(every*5/4, 150*time.Millisecond)
			next.Reset(every)
		}
	}
}
