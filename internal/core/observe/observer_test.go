package observe

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/test/fakes/agentapitest"
	"github.com/repool/repool/test/fakes/virtual"
)

// fixedPool, fixedSQL answer always the same, after a while; the time of the
// answer is put in.
type fixedPool struct {
	view  topology.PoolView
	takes time.Duration
	// detail is the answer to the other question, details how often it was asked.
	detail      topology.PoolDetail
	detailTakes time.Duration
	details     atomic.Int32
}

func (p *fixedPool) Endpoint() string { return p.view.Endpoint }

func (p *fixedPool) View(ctx context.Context) topology.PoolView {
	v := p.view
	v.Source = pause(ctx, p.takes, v.Err)
	return v
}

func (p *fixedPool) Detail(ctx context.Context) topology.PoolDetail {
	p.details.Add(1)
	d := p.detail
	d.Source = pause(ctx, p.detailTakes, d.Err)
	return d
}

type fixedSQL struct {
	facts topology.SQLFacts
	takes time.Duration
	asked atomic.Int32
}

func (p *fixedSQL) Probe(ctx context.Context) topology.SQLFacts {
	p.asked.Add(1)
	f := p.facts
	f.Source = pause(ctx, p.takes, f.Err)
	return f
}

func pause(ctx context.Context, d time.Duration, err string) topology.Source {
	select {
	case <-time.After(d):
	case <-ctx.Done():
		err = ctx.Err().Error()
	}
	return topology.Source{At: time.Now(), Err: err}
}

// line2 is the primary's line in these tests: timeline 2, left 1 at 0/5000000.
var line2 = topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x5000000}}}

// lastCommon is the record that every node on the line holds last.
var lastCommon = topology.WALRecord{Start: 0x4ffff00, End: 0x5000000, Prev: 0x4fffe00, CRC: 0xCAFE}

// trio is a pool of a primary (node 0) and two standbys that stream from it.
type trio struct {
	pool  *fixedPool
	sql   [3]*fixedSQL
	agent [3]*agentapitest.Fake
}

func newTrio() *trio {
	w := &trio{pool: &fixedPool{view: topology.PoolView{Endpoint: "pool", Primary: 0}}}
	for i := range w.sql {
		status := topology.PoolNode{ID: topology.NodeID(i), Status: topology.PoolUp, Role: "standby"}
		w.pool.view.Nodes = append(w.pool.view.Nodes, status)
		w.sql[i] = &fixedSQL{facts: topology.SQLFacts{SystemID: 42, Timeline: 2, InRecovery: i > 0, Replay: 0x6000000}}
		if i > 0 {
			w.sql[i].facts.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: "h", SenderPort: 5000,
				Timeline: 2}
		}
		last := lastCommon
		w.agent[i] = &agentapitest.Fake{Node: topology.NodeID(i), Record: lastCommon,
			State: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerRunning, History: line2},
			Probe: topology.WALProbe{Own: line2, CommonTLI: 2, Open: true, Shared: true, Last: &last, End: last.End,
				WALFrom: 0x1000000}}
	}
	return w
}

func (w *trio) observer() *Observer {
	var nodes []Node
	for i := range w.sql {
		nodes = append(nodes, Node{ID: topology.NodeID(i), Host: "h", Port: 5000 + i, SQL: w.sql[i], Agent: w.agent[i]})
	}
	return New([]PoolReader{w.pool}, nodes, Options{})
}

// probes counts how often a node's WAL is read.
func (w *trio) probes(node int) *atomic.Int32 {
	var n atomic.Int32
	w.agent[node].Fail = func(call string) error {
		if call == "ProbeWAL" {
			n.Add(1)
		}
		return nil
	}
	return &n
}

func TestEveryFactHasItsSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.agent[2].Fail = func(string) error { return errors.New("no route to host") }
		w.sql[2].facts = topology.SQLFacts{Source: topology.Source{Err: "connection refused"}, Refused: true}
		o := w.observer()
		o.nodes[1].Agent, o.nodes[1].AgentErr = nil, "agent: none is set"
		snap := o.Observe(t.Context())
		n := snap.Nodes
		if len(n) != 3 || !n[0].SQL.OK() || !n[0].Agent.OK() || n[0].Port != 5000 {
			t.Errorf("node 0: %+v", n[0])
		}
		if n[1].Agent.OK() || n[1].Agent.Err != "agent: none is set" || n[1].Agent.At.IsZero() {
			t.Errorf("a node without an agent: %+v", n[1].Agent.Source)
		}
		if n[2].Agent.Err != "no route to host" || n[2].SQL.Err != "connection refused" || !n[2].SQL.Refused {
			t.Errorf("node 2: %+v, %+v", n[2].Agent.Source, n[2].SQL.Source)
		}
		if len(snap.Pools) != 1 || snap.Pools[0].Primary != 0 || !snap.Pools[0].OK() || snap.Taken.IsZero() {
			t.Errorf("pools: %+v", snap.Pools)
		}
	})
}

func TestSilentSourcesDelayNobodyForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.pool.takes, w.sql[1].takes, w.sql[2].takes = time.Hour, time.Hour, time.Hour
		o := w.observer()
		if d := took(func() { o.Observe(t.Context()) }); d != 2*time.Second {
			t.Errorf("the first pass took %s", d)
		}
		var snap topology.Snapshot
		if d := took(func() { snap = o.Observe(t.Context()) }); d != 250*time.Millisecond {
			t.Errorf("the next one took %s", d)
		}
		if snap.Pools[0].Endpoint != "pool" {
			t.Errorf("the silent Pgpool-II is called %q", snap.Pools[0].Endpoint)
		}
		if snap.Pools[0].OK() || snap.Pools[0].Primary != topology.NoNode || snap.Nodes[1].SQL.OK() ||
			!snap.Nodes[0].SQL.OK() {
			t.Errorf("what is not answered must be unknown: %+v", snap)
		}
		virtual.Sleep(5 * time.Second) // the open questions meet their deadline
	})
}

func TestObserveFreshAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.sql[0].takes = 300 * time.Millisecond
		o := w.observer()
		go o.Observe(t.Context())
		virtual.Sleep(100 * time.Millisecond)
		begun := time.Now()
		snap := o.ObserveFresh(t.Context())
		if at := snap.Nodes[0].SQL.At; at.Sub(begun) < w.sql[0].takes {
			t.Errorf("the primary's facts came %s after the call, and take %s to get", at.Sub(begun), w.sql[0].takes)
		}
		if w.sql[0].asked.Load() != 2 {
			t.Errorf("asked %d times", w.sql[0].asked.Load())
		}
	})
}

func TestCallerWhoGoesGetsHisSnapshotAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTrio()
		w.pool.takes = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if d := took(func() { w.observer().Observe(ctx) }); d != 50*time.Millisecond {
			t.Errorf("took %s", d)
		}
		virtual.Sleep(5 * time.Second)
	})
}
