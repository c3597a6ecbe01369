package observe

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/pcp"
	"github.com/repool/repool/test/fakes/virtual"
)

func TestDetailOfReplies(t *testing.T) {
	t.Parallel()
	settings := []pcp.Setting{{Name: "backend_weight0", Value: "0.250000"}, {Name: "standby_delay0", Value: "0"},
		{Name: "backend_weight1", Value: "0.750000"}, {Name: "standby_delay1", Value: "1.5 second"},
		{Name: "backend_weight2", Value: "-nan"}, {Name: "standby_delay2", Value: ""}}
	processes := []pcp.ProcessInfo{
		{PID: 1, NodeID: 0, Database: "app", Status: "Idle"}, {PID: 1, NodeID: 1, Database: "app", Connected: true,
			Status: "Idle in transaction"},
		{PID: 2, NodeID: 0, Database: "app", Connected: true, Status: "Execute command"},
		{PID: 3, NodeID: 0, Status: "Wait for connection"}, {PID: 3, NodeID: 1, Status: "Wait for connection"},
		{PID: 4, NodeID: 0, Database: "app", Connected: true, Status: "Idle"},
	}
	want := topology.PoolDetail{Processes: topology.ProcessCounts{Free: 1, Idle: 1, IdleInTransaction: 1, Active: 1},
		Nodes: []topology.NodeDetail{{ID: 0, Weight: 0.25, DelayKnown: true, Connections: 3},
			{ID: 1, Weight: 0.75, Delay: 1.5, DelayByTime: true, DelayKnown: true, Connections: 1}, {ID: 2}}}
	if diff := cmp.Diff(want, detailOf(settings, processes, []topology.NodeID{0, 1, 2})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestDetailNeverHoldsALookUp: a Pgpool-II that answers the one question and not
// the other is observed as quickly as any, and is asked once at a time.
func TestDetailNeverHoldsALookUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.pool.detail.Processes.Free = 7
		w.pool.detailTakes = 4 * time.Second
		o := New([]PoolReader{w.pool}, nil, Options{DetailEvery: 15 * time.Second})
		began := time.Now()
		for range 3 {
			if d := o.Observe(t.Context()).Pools[0].Detail; d.OK() {
				t.Errorf("an answer before it can have come: %+v", d)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("three looks took %s", took)
		}
		virtual.Sleep(5 * time.Second)
		if d := o.Observe(t.Context()).Pools[0].Detail; !d.OK() || d.Processes.Free != 7 {
			t.Errorf("the answer: %+v", d)
		}
		for range 60 {
			virtual.Sleep(time.Second)
			o.Observe(t.Context())
			o.ObserveFresh(t.Context())
		}
		if n := w.pool.details.Load(); n != 5 {
			t.Errorf("asked %d times in 65 s, want each 15 s", n)
		}
		w.pool.view.Err = "refused"
		if d := o.Observe(t.Context()).Pools[0].Detail; d.OK() {
			t.Errorf("details of a Pgpool-II that does not answer: %+v", d)
		}
		virtual.Sleep(time.Minute)
	})
}

func TestDetailIsNotAskedForUnlessWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		o := w.observer()
		o.Observe(t.Context())
		virtual.Sleep(time.Minute)
		o.Observe(t.Context())
		if n := w.pool.details.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}
