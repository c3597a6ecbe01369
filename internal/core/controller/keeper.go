package controller

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/show/event"
)

const (
	// storeDeadline bounds one write to the store.
	storeDeadline = 5 * time.Second
	// keepFor and keepMost bound the history.
	keepFor  = 90 * 24 * time.Hour
	keepMost = 200_000
)

// keeper writes to the store beside the loop: a disk that is full or slow must
// not hold up the healing. The node's own journal has the facts of each run.
type keeper struct {
	events chan event.Event
	dirty  chan struct{}      // the memory may have changed
	flush  chan chan struct{} // closed when all events before it are written
	quit   chan struct{}

	mu    sync.Mutex  // one save at a time, and in order
	saved plan.Memory // the durable part last saved
	// copied is the holds of the second copy as JSON; empty: not written by us yet.
	copied string
	told   int // how many of the store's Asides are in the log
}

func newKeeper() keeper {
	return keeper{events: make(chan event.Event, 1000), dirty: make(chan struct{}, 1), flush: make(chan chan struct{}), quit: make(chan struct{})}
}

// keep writes what comes until quit, and then what is left.
func (c *Controller) keep() {
	k := &c.keeper
	for {
		c.tellAsides()
		select {
		case e := <-k.events:
			c.add(e)
		case <-k.dirty:
			c.saveSoon()
		case done := <-k.flush:
			c.drain()
			close(done)
		case <-k.quit:
			c.drain()
			c.saveSoon()
			return
		}
	}
}

// tellAsides logs each file that the store could not use; the history tells of
// it by itself.
func (c *Controller) tellAsides() {
	all := c.o.Store.Asides()
	for _, a := range all[c.keeper.told:] {
		c.o.Log.Error("history set aside", "code", event.CodeSetAside, "path", a.Path, "err", a.Why)
	}
	c.keeper.told = len(all)
}

func (c *Controller) drain() {
	for {
		select {
		case e := <-c.keeper.events:
			c.add(e)
		default:
			return
		}
	}
}

func (c *Controller) add(e event.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), storeDeadline)
	defer cancel()
	c.warn("history", "history not written", c.o.Store.Add(ctx, e))
}

func (c *Controller) saveSoon() {
	c.warn("memory", "the planner's memory is not saved, and would be lost with the process", c.save(c.life))
}

// record appends to the history, without waiting for the disk.
func (c *Controller) record(e event.Event) {
	e.At = time.Now()
	for _, a := range c.o.Audience {
		a.Happened(e)
	}
	select {
	case c.keeper.events <- e:
	default:
		c.warn("history", "history not written", fmt.Errorf("%d events wait for the disk already", cap(c.keeper.events)))
	}
}

// markDirty has the memory saved soon, if it has changed.
func (c *Controller) markDirty() {
	select {
	case c.keeper.dirty <- struct{}{}:
	default:
	}
}

// save writes the newest memory where its durable part has changed, and the
// holds to their second copy where those have.
func (c *Controller) save(ctx context.Context) error {
	c.keeper.mu.Lock()
	defer c.keeper.mu.Unlock()
	c.mu.Lock()
	mem := c.mem
	c.mu.Unlock()
	// One that cannot be written is no reason to lose the other.
	copied := c.copyHolds(mem.Holds)
	if copied != nil {
		copied = fmt.Errorf("second copy of the holds: %w", copied)
	}
	durable := mem.Durable()
	if reflect.DeepEqual(durable, c.keeper.saved) {
		return copied
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeDeadline)
	defer cancel()
	if err := c.o.Store.Keep(ctx, memoryName, mem); err != nil {
		return errors.Join(copied, err)
	}
	c.keeper.saved = durable
	return copied
}

// History reads events, those of this moment included.
func (c *Controller) History(ctx context.Context, f event.Filter) ([]event.Event, error) {
	done := make(chan struct{})
	select {
	case c.keeper.flush <- done:
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case <-c.life.Done(): // nobody writes any more
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return c.o.Store.List(ctx, f)
}

// prune removes old events once a day.
func (c *Controller) prune() {
	now := time.Now()
	c.mu.Lock()
	due := !now.Before(c.pruneAt)
	if due {
		c.pruneAt = now.Add(24 * time.Hour)
	}
	c.mu.Unlock()
	if due {
		c.begin(func(ctx context.Context) {
			c.warn("prune", "old events not removed from the history", c.o.Store.Prune(ctx, now.Add(-keepFor), keepMost))
		})
	}
}
