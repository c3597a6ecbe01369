package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/test/fakes/virtual"
)

// memory is a Store.
type memory struct {
	mu    sync.Mutex
	saved map[string]string
}

func (m *memory) Keep(_ context.Context, name string, v any) error {
	b, err := json.Marshal(v)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saved[name] = string(b)
	return err
}

func (m *memory) Kept(_ context.Context, name string, v any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, found := m.saved[name]
	if !found {
		return false, nil
	}
	return true, json.Unmarshal([]byte(b), v)
}

// ear is a Receiver that answers with err, after a while.
type ear struct {
	mu    sync.Mutex
	heard []string
	tries int
	err   error
	takes time.Duration
}

func (*ear) Name() string { return "ear" }

func (r *ear) Send(ctx context.Context, e Event) error {
	r.mu.Lock()
	r.tries++
	err, takes := r.err, r.takes
	r.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err == nil {
		r.mu.Lock()
		r.heard = append(r.heard, string(e.Kind))
		r.mu.Unlock()
	}
	return err
}

func (r *ear) set(err error, takes time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.takes = err, takes
}

func (r *ear) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.heard, " ")
}

func (r *ear) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

// with runs a test with a notifier, in a bubble.
func with(t *testing.T, s *memory, test func(n *Notifier), receivers ...Receiver) {
	t.Helper()
	n, err := New(t.Context(), Options{Receivers: receivers, Store: s, Log: slog.New(slog.DiscardHandler),
		Controller: "host"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	test(n)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDeadReceiverHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dead, well := &ear{takes: time.Hour}, &ear{}
		with(t, &memory{saved: map[string]string{}}, func(n *Notifier) {
			began := time.Now()
			for i := range 300 {
				n.Passed(without(2*i, 1))
				n.Passed(whole(2*i + 1))
				synctest.Wait()
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("600 passes waited %s", took)
			}
			if got := len(strings.Fields(well.all())); got != 600 {
				t.Errorf("the other receiver heard %d of 600", got)
			}
			virtual.Sleep(90 * time.Minute)
			s := n.Stats()
			if d := s[0]; d.Sent != 0 || d.Dropped != 600-queueLength-1 || d.GivenUp == 0 || d.Queued > queueLength {
				t.Errorf("the dead one: %+v", d)
			}
			if s[1].Sent != 600 || s[1].Failed != 0 {
				t.Errorf("the other: %+v", s[1])
			}
		}, dead, well)
	})
}

// TestTriedAgainUntilTaken: with pauses that grow, and in order.
func TestTriedAgainUntilTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &ear{err: errors.New("500")}
		with(t, &memory{saved: map[string]string{}}, func(n *Notifier) {
			n.Passed(without(0, 1))
			n.Passed(whole(1))
			virtual.Sleep(10 * time.Minute)
			if n := r.count(); n < 8 || n > 16 {
				t.Errorf("%d tries in ten minutes", n)
			}
			r.set(nil, 0)
			virtual.Sleep(3 * time.Minute)
			if got := r.all(); got != "redundancy-lost redundancy-restored" {
				t.Errorf("heard: %s", got)
			}
		}, r)
	})
}

// TestRestartTellsWhatWasNotTold, and nothing twice.
func TestRestartTellsWhatWasNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := &memory{saved: map[string]string{}}, &ear{}
		passes := func(st control.Status) func(*Notifier) {
			return func(n *Notifier) {
				n.Passed(st)
				virtual.Sleep(time.Second)
			}
		}
		with(t, s, passes(without(0, 1)), r)
		with(t, s, passes(without(5, 1)), r)
		if got := r.all(); got != "redundancy-lost" {
			t.Errorf("heard: %s", got)
		}
		r.set(errors.New("500"), 0)
		with(t, s, passes(whole(10)), r)
		r.set(nil, 0)
		with(t, s, passes(whole(15)), r)
		with(t, s, passes(whole(20)), r)
		if got := r.all(); got != "redundancy-lost redundancy-restored" {
			t.Errorf("heard: %s", got)
		}
	})
}
