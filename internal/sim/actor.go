package sim

import (
	"context"
	"sync"
	"time"
)

// instants is how many nanoseconds the classes of instants are apart. It divides
// every time that repool's own timers are set to (they are whole milliseconds),
// so a timer set in the course of an actor's act fires at that actor's instants.
const instants = 10_000

// actor is one strand of acts on the world. It acts at instants of its own: its
// id is what is left of them after division by instants.
type actor struct {
	w    *World
	name string
	id   uint64
	key  uint64

	mu   sync.Mutex
	last time.Time
}

// actor makes one. The name decides its delays and must not be used twice.
func (w *World) actor(name string) *actor {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actors++
	return &actor{w: w, name: name, id: w.actors % instants, key: hashText(name)}
}

// delay draws the next wait of the actor. It goes by the instant and not by the
// number of waits before: what happens at one instant may happen twice.
func (a *actor) delay(lo, hi time.Duration) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	d, now := lo, time.Now()
	if hi > lo {
		d += time.Duration(hashOf(a.w.seed, a.key, uint64(now.Sub(a.w.begun))) % uint64(hi-lo))
	}
	at := now.Add(d)
	at = at.Add(time.Duration((a.id + instants - uint64(at.Nanosecond())%instants) % instants))
	for !at.After(now) || !at.After(a.last) {
		at = at.Add(instants)
	}
	a.last = at
	return at.Sub(now)
}

// wait lets a time in [lo, hi] go by.
func (a *actor) wait(lo, hi time.Duration) { time.Sleep(a.delay(lo, hi)) }

// waitIn is wait, unless ctx ends first.
func (a *actor) waitIn(ctx context.Context, lo, hi time.Duration) error {
	t := time.NewTimer(a.delay(lo, hi))
	defer t.Stop()
	select {
	case <-ctx.Done():
		// Deadlines set at one instant end at one instant, for many strands: each
		// goes on at the next of its own.
		a.wait(0, 0)
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
