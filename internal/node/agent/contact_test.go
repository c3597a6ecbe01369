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

// contactRig serves an agent whose primary runs, with that limit and a clock of the
// test's own.
func contactRig(t *testing.T, limit time.Duration, w *fakehost.Solo) (*Agent, *clock, *fakehost.Solo) {
	t.Helper()
	c := &clock{}
	r := newRig(t, w)
	o := r.options()
	r.a.stop()
	r.noRun = true // the agent acts without a run
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

// stays asserts that the server is still as it was after a few checks.
func stays(t *testing.T, a *Agent, want topology.ServerState) {
	t.Helper()
	for range 5 {
		if err := a.stopIfCutOff(t.Context()); err != nil {
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

func TestPrimaryWithoutControllerIsStopped(t *testing.T) {
	t.Parallel()
	a, c, w := contactRig(t, 10*time.Second, runningPrimary())
	serverIs(t, a, topology.ServerRunning)
	c.forward(9 * time.Second)
	stays(t, a, topology.ServerRunning)
	a.ControllerCalled()
	c.forward(9 * time.Second)
	stays(t, a, topology.ServerRunning)
	c.forward(time.Second)
	serverIs(t, a, topology.ServerStopped)
	// It is stopped again when a service manager starts it (hazard 27).
	w.OutsideStart()
	serverIs(t, a, topology.ServerStopped)
	// When a controller calls again, it may run.
	a.ControllerCalled()
	w.OutsideStart()
	stays(t, a, topology.ServerRunning)
}

func TestPrimaryIsKeptWithoutALimit(t *testing.T) {
	t.Parallel()
	a, c, _ := contactRig(t, 0, runningPrimary())
	c.forward(1000 * time.Hour)
	stays(t, a, topology.ServerRunning)
}

func TestStandbyWithoutControllerIsKept(t *testing.T) {
	t.Parallel()
	w := fakehost.NewSolo(fakehost.StoppedStandby())
	w.OutsideStart()
	a, c, _ := contactRig(t, 10*time.Second, w)
	serverIs(t, a, topology.ServerRunning)
	c.forward(time.Hour)
	stays(t, a, topology.ServerRunning)
}
