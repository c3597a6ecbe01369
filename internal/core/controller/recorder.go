package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

const (
	// storeDeadline bounds one write to the store.
	storeDeadline = 5 * time.Second
	// keepFor and keepMost bound the history.
	keepFor  = 90 * 24 * time.Hour
	keepMost = 200_000
)

// recorder writes the history and the planner's memory to the store beside the
// loop: a full or slow disk must not hold up the healing. The node's own journal
// has the facts of each run. Any goroutine may call it, but write is run's alone.
type recorder struct {
	o      *Options
	memory *memory
	life   context.Context
	// found is what load has to report once the controller runs.
	found []event.Event

	events chan event.Event
	dirty  chan struct{}      // the memory may have changed
	flush  chan chan struct{} // closed when all events before it are written
	quit   chan struct{}      // closed when nothing more will be recorded

	saving sync.Mutex  // one save at a time, in order; guards saved and copied
	saved  plan.Memory // the durable part last saved
	copied string      // the second copy of the holds as JSON; empty: not written by us yet

	mu       sync.Mutex        // guards troubles
	troubles map[string]string // what was last logged, by what it is about
}

func newRecorder(life context.Context, o *Options, m *memory) *recorder {
	return &recorder{o: o, memory: m, life: life, events: make(chan event.Event, 1000), dirty: make(chan struct{}, 1),
		flush: make(chan chan struct{}), quit: make(chan struct{}), troubles: map[string]string{}}
}

// started records the start of the controller, and what load has found.
func (r *recorder) started(text string) {
	r.record(event.Event{Node: topology.NoNode, Kind: "controller", Code: "started", Text: text})
	for _, e := range r.found {
		r.record(e)
	}
}

// write writes what comes until quit, and then what is left.
func (r *recorder) write() {
	logged := 0 // of the store's Asides; the history has them by itself
	for {
		for all := r.o.Store.Asides(); logged < len(all); logged++ {
			a := all[logged]
			r.o.Log.Error("history set aside", "code", string(codes.HistorySetAside), "path", a.Path, "err", a.Why)
		}
		select {
		case e := <-r.events:
			r.add(e)
		case <-r.dirty:
			r.saveSoon()
		case done := <-r.flush:
			r.drain()
			close(done)
		case <-r.quit:
			r.drain()
			r.saveSoon()
			return
		}
	}
}

func (r *recorder) drain() {
	for {
		select {
		case e := <-r.events:
			r.add(e)
		default:
			return
		}
	}
}

func (r *recorder) add(e event.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.life), storeDeadline)
	defer cancel()
	r.warn("history", "history not written", r.o.Store.Add(ctx, e))
}

func (r *recorder) saveSoon() {
	r.warn("memory", "planner memory not saved: it would be lost with the process", r.save(r.life))
}

// record appends to the history, without waiting for the disk.
func (r *recorder) record(e event.Event) {
	e.At = time.Now()
	for _, a := range r.o.Audience {
		a.Happened(e)
	}
	select {
	case r.events <- e:
	default:
		r.warn("history", "history not written", fmt.Errorf("%d events are waiting for the disk already", cap(r.events)))
	}
}

// memoryChanged has the memory saved soon, if its durable part has changed.
func (r *recorder) memoryChanged() {
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

// save writes the newest memory where its durable part has changed, and the
// holds to their second copy where those have.
func (r *recorder) save(ctx context.Context) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	mem := r.memory.read()
	// If one cannot be written, the other still must be.
	copied := r.copyHolds(mem.Holds)
	if copied != nil {
		copied = fmt.Errorf("second copy of the holds: %w", copied)
	}
	durable := mem.Durable()
	if reflect.DeepEqual(durable, r.saved) {
		return copied
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeDeadline)
	defer cancel()
	if err := r.o.Store.Keep(ctx, memoryName, mem); err != nil {
		return errors.Join(copied, err)
	}
	r.saved = durable
	return copied
}

// history reads events, including those of this moment.
func (r *recorder) history(ctx context.Context, f event.Filter) ([]event.Event, error) {
	done := make(chan struct{})
	select {
	case r.flush <- done:
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case <-r.life.Done(): // nobody writes any more
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return r.o.Store.List(ctx, f)
}

// prune removes old events.
func (r *recorder) prune(ctx context.Context, now time.Time) {
	r.warn("prune", "old events not removed from the history", r.o.Store.Prune(ctx, now.Add(-keepFor), keepMost))
}

// warn logs trouble about one thing, and again only when its text changes or it
// has been over meanwhile (err nil): most of it comes back with each pass.
func (r *recorder) warn(about, msg string, err error, attrs ...any) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.mu.Lock()
	was := r.troubles[about]
	if text == "" {
		delete(r.troubles, about)
	} else {
		r.troubles[about] = text
	}
	r.mu.Unlock()
	if text != "" && text != was && !errors.Is(err, context.Canceled) {
		r.o.Log.Warn(msg, append(attrs, "err", err)...)
	}
}

func asJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`null`)
	}
	return b
}
