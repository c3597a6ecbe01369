package notify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// Receiver is where events go.
type Receiver interface {
	// Name is a word for logs and metrics, without anything secret in it.
	Name() string
	// Send makes one attempt. It returns when ctx is done, at the latest.
	Send(ctx context.Context, e Event) error
}

// Store keeps what was told across restarts.
type Store interface {
	Keep(ctx context.Context, name string, value any) error
	Kept(ctx context.Context, name string, value any) (found bool, err error)
}

// Options wire a Notifier; all are needed.
type Options struct {
	Receivers []Receiver
	Store     Store
	Log       *slog.Logger
	// Controller names this host in the events.
	Controller string
}

// storeName is the key under which the store keeps what was told.
const storeName = "notified"

// Notifier sends events to receivers. Create it with New and run it once.
type Notifier struct {
	o      Options
	queues []*queue
	wake   chan struct{} // there is something to save

	mu    sync.Mutex // guards what follows
	watch watch
	open  int // deliveries that have neither succeeded nor been given up
	dirty bool
}

// New loads what was told before.
func New(ctx context.Context, o Options) (*Notifier, error) {
	n := &Notifier{o: o, wake: make(chan struct{}, 1)}
	for _, r := range o.Receivers {
		n.queues = append(n.queues, newQueue(r, o.Log, n.settled))
	}
	if _, err := o.Store.Kept(ctx, storeName, &n.watch.told); err != nil {
		return nil, fmt.Errorf("load what was notified: %w", err)
	}
	return n, nil
}

// Passed looks for news.
func (n *Notifier) Passed(st control.Status) { n.look(func(w *watch) []Event { return w.status(&st) }) }

// RunEnded tells of a vault entry that no pass has shown.
func (n *Notifier) RunEnded(r topology.RunState) {
	n.look(func(w *watch) []Event { return w.run(&r) })
}

// Happened does nothing: all news is in the status.
func (n *Notifier) Happened(event.Event) {}

func (n *Notifier) look(find func(*watch) []Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range find(&n.watch) {
		e.ID, e.Controller = newID(), n.o.Controller
		n.o.Log.Info("notify", "event", string(e.Kind), "id", e.ID, "nodes", fmt.Sprint(e.Nodes),
			"code", e.Code, "run", e.Run)
		n.dirty = true
		for _, q := range n.queues {
			if q.add(e) {
				n.open++
			}
		}
	}
	n.saveIfSettled()
}

// settled is called when a delivery has succeeded or was given up.
func (n *Notifier) settled() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open--
	n.saveIfSettled()
}

// saveIfSettled requests a save when no delivery is pending: what was not delivered
// before the process ended is delivered by the next one. n.mu is held.
func (n *Notifier) saveIfSettled() {
	if n.dirty && n.open == 0 {
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// Run delivers until ctx is done. The next process delivers what is still queued.
func (n *Notifier) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	for _, q := range n.queues {
		senders.Go(func() { q.run(ctx) })
	}
	for {
		select {
		case <-n.wake:
			n.save(ctx)
		case <-ctx.Done():
			senders.Wait()
			n.save(ctx)
			return nil
		}
	}
}

func (n *Notifier) save(ctx context.Context) {
	n.mu.Lock()
	due := n.dirty && n.open == 0
	t := n.watch.told
	t.Missing, t.Vaults = slices.Clone(t.Missing), slices.Clone(t.Vaults)
	if due {
		n.dirty = false
	}
	n.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := n.o.Store.Keep(ctx, storeName, t); err != nil {
		n.o.Log.Warn("sent notifications are not recorded, and would be sent again after a restart", "err", err)
		n.mu.Lock()
		n.dirty = true
		n.mu.Unlock()
	}
}

// Stats are one receiver's figures since the start.
type Stats struct {
	Receiver                       string
	Sent, Failed, GivenUp, Dropped uint64
	Queued                         int
}

// Stats gives each receiver's figures.
func (n *Notifier) Stats() []Stats {
	out := make([]Stats, len(n.queues))
	for i, q := range n.queues {
		out[i] = q.stats()
	}
	return out
}
