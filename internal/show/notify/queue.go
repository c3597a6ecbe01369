package notify

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// queueLength bounds what waits for one receiver. More than that is a storm,
	// whose beginning says more than its end.
	queueLength = 100
	// attemptDeadline bounds one attempt, patience all attempts at one event.
	attemptDeadline = 30 * time.Second
	patience        = time.Hour
	// The pauses between attempts, doubled from first to longest, with jitter.
	firstPause   = time.Second
	longestPause = 2 * time.Minute
)

// queue delivers events to one receiver, one at a time and in order.
type queue struct {
	to      Receiver
	log     *slog.Logger
	events  chan Event
	settled func() // called once for each event that was added

	mu    sync.Mutex
	count Stats
}

func newQueue(to Receiver, log *slog.Logger, settled func()) *queue {
	return &queue{to: to, log: log, settled: settled, events: make(chan Event, queueLength),
		count: Stats{Receiver: to.Name()}}
}

// add queues an event without waiting; false: there was no room.
func (q *queue) add(e Event) bool {
	select {
	case q.events <- e:
		return true
	default:
		q.note(func(s *Stats) { s.Dropped++ })
		q.log.Error("notification dropped: queue full", "receiver", q.to.Name(), "event", string(e.Kind), "id", e.ID)
		return false
	}
}

func (q *queue) run(ctx context.Context) {
	for {
		select {
		case e := <-q.events:
			if !q.deliver(ctx, e) {
				return
			}
			q.settled()
		case <-ctx.Done():
			return
		}
	}
}

// deliver retries until the event is delivered or its time is over; false: ctx is
// done. Every failure is retried: a receiver that refuses now may accept once it
// has been fixed.
func (q *queue) deliver(ctx context.Context, e Event) bool {
	pauses := &backoff.ExponentialBackOff{InitialInterval: firstPause, MaxInterval: longestPause, Multiplier: 2,
		RandomizationFactor: .3}
	attempt := func() (struct{}, error) {
		actx, cancel := context.WithTimeout(ctx, attemptDeadline)
		defer cancel()
		return struct{}{}, q.to.Send(actx, e)
	}
	failed := func(err error, pause time.Duration) {
		q.note(func(s *Stats) { s.Failed++ })
		q.log.Warn("notification failed", "receiver", q.to.Name(), "event", string(e.Kind), "id", e.ID,
			"again", pause.Round(time.Millisecond).String(), "err", err)
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(patience),
		backoff.WithNotify(failed))
	switch {
	case err == nil:
		q.note(func(s *Stats) { s.Sent++ })
		q.log.Info("notified", "receiver", q.to.Name(), "event", string(e.Kind), "id", e.ID)
	case ctx.Err() != nil:
		return false
	default:
		q.note(func(s *Stats) { s.Failed++; s.GivenUp++ })
		q.log.Error("notification given up", "receiver", q.to.Name(), "event", string(e.Kind), "id", e.ID, "err", err)
	}
	return true
}

func (q *queue) note(f func(*Stats)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(&q.count)
}

func (q *queue) stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.count
	s.Queued = len(q.events)
	return s
}
