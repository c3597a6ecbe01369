package agent

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/test/fakes/fakehost"
)

// clock is a clock that a test sets.
type clock struct{ now atomic.Int64 }

func (c *clock) since() time.Duration    { return time.Duration(c.now.Load()) }
func (c *clock) forward(d time.Duration) { c.now.Add(int64(d)) }

// aloneRig serves an agent whose primary runs, with a limit of 10 s on that clock.
func aloneRig(t *testing.T, limit time.Duration, w *fakehost.Solo) (*Agent, *clock, *fakehost.Solo) {
	t.Helper()
	c := &clock{}
	r := newRig(t, w)
	o := r.options()
	r.a.stop()
	r.noRun = true // what it does, it does on its own account
	o.StopAlone, o.SinceBoot, o.Points = limit, c.since, func(string) {}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return a, c, w
}

func serverIs(t *testing.T, a *Agent, want topology.ServerState) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		in, err := a.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if in.Server == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is %s, want %s", in.Server, want)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// stays says that the server is as it was after a number of looks of the watch.
func stays(t *testing.T, a *Agent, want topology.ServerState) {
	t.Helper()
	for range 5 {
		if err := a.stopIfAlone(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	serverIs(t, a, want)
}

func runningPrimary() *fakehost.Solo {
	w := fakehost.NewSolo(fakehost.CrashedPrimary(true))
	w.OutsideStart()
	return w
}

func TestPrimaryOnItsOwnIsStopped(t *testing.T) {
	t.Parallel()
	a, c, w := aloneRig(t, 10*time.Second, runningPrimary())
	serverIs(t, a, topology.ServerRunning)
	c.forward(9 * time.Second)
	stays(t, a, topology.ServerRunning)
	a.Heard()
	c.forward(9 * time.Second)
	stays(t, a, topology.ServerRunning)
	c.forward(time.Second)
	serverIs(t, a, topology.ServerStopped)
	// A service manager that starts it again does not win (hazard 27).
	w.OutsideStart()
	serverIs(t, a, topology.ServerStopped)
	// With a controller back it may run.
	a.Heard()
	w.OutsideStart()
	stays(t, a, topology.ServerRunning)
}

func TestWithoutThePolicyAPrimaryIsKept(t *testing.T) {
	t.Parallel()
	a, c, _ := aloneRig(t, 0, runningPrimary())
	c.forward(1000 * time.Hour)
	stays(t, a, topology.ServerRunning)
}

func TestStandbyOnItsOwnIsKept(t *testing.T) {
	t.Parallel()
	w := fakehost.NewSolo(fakehost.StoppedStandby())
	w.OutsideStart()
	a, c, _ := aloneRig(t, 10*time.Second, w)
	serverIs(t, a, topology.ServerRunning)
	c.forward(time.Hour)
	stays(t, a, topology.ServerRunning)
}
