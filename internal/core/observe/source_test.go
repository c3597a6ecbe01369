package observe

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/test/fakes/virtual"
)

// answerer is something to ask that takes its time.
type answerer struct {
	takes  time.Duration
	bad    bool
	asked  atomic.Int32
	open   atomic.Int32
	cutOff atomic.Int32 // querys that met their deadline
}

func (a *answerer) ask(ctx context.Context) int {
	n := a.asked.Add(1)
	a.open.Add(1)
	defer a.open.Add(-1)
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		a.cutOff.Add(1)
		return -1
	}
	if a.bad {
		return -1
	}
	return int(n)
}

func (a *answerer) source() *source[int] {
	return &source[int]{opts: testOptions, deadline: testOptions.Deadline, ok: func(v int) bool { return v > 0 }}
}

var testOptions = Options{Patience: 2 * time.Second, SickPatience: 250 * time.Millisecond, Deadline: 5 * time.Second,
	WALDeadline: 30 * time.Second}

func (a *answerer) want() want[int] { return want[int]{ask: a.ask} }

// took runs f and gives the time it took in the bubble.
func took(f func()) time.Duration {
	begun := time.Now()
	f()
	return time.Since(begun)
}

func TestQuickAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{takes: time.Millisecond}
		s := a.source()
		for want := 1; want <= 3; want++ {
			if v, ok := s.get(t.Context(), a.want()); !ok || v != want {
				t.Errorf("got %d, %v, want the answer of query %d", v, ok, want)
			}
		}
	})
}

// TestFrozenSourceHoldsOneQuestion: an hour of passes against something that
// never answers leaves one query open, and costs little of each pass.
func TestFrozenSourceHoldsOneQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{takes: 24 * time.Hour}
		s := a.source()
		first := took(func() {
			if _, ok := s.get(t.Context(), a.want()); ok {
				t.Error("an answer of something frozen")
			}
		})
		if first != testOptions.Patience {
			t.Errorf("the first get took %s, want all patience", first)
		}
		for range 1000 {
			d := took(func() { s.get(t.Context(), a.want()) })
			if d > testOptions.SickPatience {
				t.Fatalf("a later get took %s, want at most the patience with the sick", d)
			}
			if n := a.open.Load(); n > 1 {
				t.Fatalf("%d querys open", n)
			}
			virtual.Sleep(time.Second)
		}
		if n := a.asked.Load(); n > 260 {
			t.Errorf("%d querys in 1250 s with a deadline of 5 s each", n)
		}
		virtual.Sleep(testOptions.Deadline)
		synctest.Wait()
		if a.open.Load() != 0 {
			t.Error("a query outlives its deadline")
		}
	})
}

// TestSlowAnswerIsJoined: what takes longer than the patience is answered in a
// later pass, by the query that is open already.
func TestSlowAnswerIsJoined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{takes: 2100 * time.Millisecond}
		s := a.source()
		if _, ok := s.get(t.Context(), a.want()); ok {
			t.Fatal("answered before its time")
		}
		if v, ok := s.get(t.Context(), a.want()); !ok || v != 1 {
			t.Errorf("got %d, %v, want the answer of the open query", v, ok)
		}
		a.takes = time.Second
		if v, ok := s.get(t.Context(), a.want()); ok {
			t.Errorf("got %d: after a slow answer it is sick", v)
		}
		virtual.Sleep(a.takes)
		if v, ok := s.get(t.Context(), a.want()); !ok || v != 3 {
			t.Errorf("got %d, %v: an answer within all patience heals", v, ok)
		}
	})
}

// TestLateAnswerIsNotLost: one that comes while nobody waits is for the next
// caller, if he gets none of his own.
func TestLateAnswerIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{takes: 3 * time.Second}
		s := a.source()
		s.get(t.Context(), a.want())
		virtual.Sleep(2 * time.Second)
		if v, ok := s.get(t.Context(), a.want()); !ok || v != 1 {
			t.Errorf("got %d, %v, want the late answer", v, ok)
		}
		if v, ok := s.get(t.Context(), a.want()); ok {
			t.Errorf("got %d: the late answer is given once", v)
		}
		virtual.Sleep(5 * time.Second)
		w := a.want()
		w.fresh = true
		if v, ok := s.get(t.Context(), w); ok {
			t.Errorf("got %d, which was asked for before the call", v)
		}
		virtual.Sleep(5 * time.Second)
	})
}

// TestAnewTakesNoOpenQuestion: a fact that clears a destructive step was asked
// for after the step asked (P2).
func TestAnewTakesNoOpenQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{takes: 500 * time.Millisecond}
		s := a.source()
		go s.get(t.Context(), a.want())
		virtual.Sleep(400 * time.Millisecond)
		w := a.want()
		w.fresh = true
		d := took(func() {
			if v, ok := s.get(t.Context(), w); !ok || v != 2 {
				t.Errorf("got %d, %v, want the answer of a second query", v, ok)
			}
		})
		if d != 600*time.Millisecond {
			t.Errorf("took %s, want the rest of the open query and all of the new one", d)
		}
	})
}

func TestQuestionUnderAnotherKeyIsNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{takes: 500 * time.Millisecond}
		s := a.source()
		go s.get(t.Context(), want[int]{key: "node 1 on 2", ask: a.ask})
		virtual.Sleep(time.Millisecond)
		if v, ok := s.get(t.Context(), want[int]{key: "node 2 on 3", ask: a.ask}); !ok || v != 2 {
			t.Errorf("got %d, %v, want the answer of a query of its own", v, ok)
		}
	})
}

func TestCallerWhoLeavesSaysNothingOfTheSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{takes: time.Second}
		s := a.source()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if d := took(func() { s.get(ctx, a.want()) }); d != 10*time.Millisecond {
			t.Errorf("a caller who is told to stop stayed %s", d)
		}
		if v, ok := s.get(t.Context(), a.want()); !ok || v != 1 {
			t.Errorf("got %d, %v: the source was given less patience, or the query was cut off", v, ok)
		}
	})
}

func TestBadAnswerIsAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{bad: true}
		s := a.source()
		if v, ok := s.get(t.Context(), a.want()); !ok || v != -1 {
			t.Errorf("got %d, %v", v, ok)
		}
		a.takes = time.Second
		if d := took(func() { s.get(t.Context(), a.want()) }); d != testOptions.SickPatience {
			t.Errorf("after a bad answer it was given %s", d)
		}
		virtual.Sleep(time.Second)
	})
}
