package sim

import (
	"context"
	"sync"
	"time"

	"github.com/repool/repool/test/fakes/virtual"
)

// instants is how many nanoseconds the classes of instants are apart. It divides
// every time that repool's own timers are set to (they are whole milliseconds),
// so a timer set in the course of an actor's act fires at that actor's instants.
const instants = 10_000

// actor is one goroutine's acts on the world. It acts at instants of its own: its
// id is what is left of them after division by instants.
type actor struct {
	w    *World
	name string
	id   uint64
	key  uint64

	mu sync.Mutex
	// taken are the instants at which one of its waits ends.
	taken map[int64]bool
}

// actor makes one. The name decides its delays and must not be used twice.
func (w *World) actor(name string) *actor {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actors++
	return &actor{w: w, name: name, id: w.actors % instants, key: hashText(name), taken: map[int64]bool{}}
}

// delay draws the next wait of the actor, and takes the instant at which it
// ends. It goes by the instant at which it begins, and not by the number of
// waits before: what happens at one instant may happen twice.
func (a *actor) delay(lo, hi time.Duration) (d time.Duration, end int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Since(a.w.begun)
	d = lo
	if hi > lo {
		d += time.Duration(hashOf(a.w.seed, a.key, uint64(now)) % uint64(hi-lo))
	}
	end = int64(now + d)
	end += (int64(a.id) + instants - end%instants) % instants
	for end <= int64(now) || a.taken[end] {
		end += instants
	}
	a.taken[end] = true
	return time.Duration(end) - now, end
}

func (a *actor) free(end int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.taken, end)
}

// wait lets a time in [lo, hi] go by.
func (a *actor) wait(lo, hi time.Duration) {
	d, end := a.delay(lo, hi)
	virtual.Sleep(d)
	a.free(end)
}

// waitIn is wait, unless ctx ends first.
func (a *actor) waitIn(ctx context.Context, lo, hi time.Duration) error {
	d, end := a.delay(lo, hi)
	defer a.free(end)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		// Deadlines set at one instant end at one instant, for many goroutines: each
		// goes on at the next of its own.
		a.wait(0, 0)
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
