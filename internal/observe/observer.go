package observe

import (
	"context"
	"sync"
	"time"

	"github.com/repool/repool/internal/agentapi"
	"github.com/repool/repool/internal/topology"
)

// PoolReader asks one Pgpool-II for its view.
type PoolReader interface {
	View(ctx context.Context) topology.PoolView
}

// Prober asks one PostgreSQL for its facts.
type Prober interface {
	Probe(ctx context.Context) topology.SQLFacts
}

// Node is one backend slot with the ways to ask about it.
type Node struct {
	ID            topology.NodeID
	Host          string
	Port          int
	AppName       string
	AlwaysPrimary bool
	NoFailover    bool
	SQL           Prober
	// Agent is nil where no agent can be reached at all; AgentErr says why.
	Agent    agentapi.Inspector
	AgentErr string
}

// Options bound how long an Observe may take.
type Options struct {
	// Patience is how long Observe waits for a source that answered last time;
	// SickPatience for one that did not. A question still open after that goes
	// on in the background and is not asked twice. Zero: 2 s and 250 ms.
	Patience, SickPatience time.Duration
	// Deadline ends a question for good. Zero: 5 s.
	Deadline time.Duration
}

// Observer asks all sources. Create it with New.
type Observer struct {
	opts  Options
	pools []*source[topology.PoolView]
	nodes []Node
	sql   []*source[topology.SQLFacts]
	agent []*source[topology.Inspection]

	mu   sync.Mutex
	last map[topology.NodeID]topology.LSN // replay position of the pass before
}

// New makes an Observer of these pools and nodes. The first pool is the one
// beside the controller.
func New(pools []PoolReader, nodes []Node, opts Options) *Observer {
	if opts.Patience == 0 {
		opts.Patience = 2 * time.Second
	}
	if opts.SickPatience == 0 {
		opts.SickPatience = 250 * time.Millisecond
	}
	if opts.Deadline == 0 {
		opts.Deadline = 5 * time.Second
	}
	o := &Observer{opts: opts, nodes: nodes, last: map[topology.NodeID]topology.LSN{}}
	for _, p := range pools {
		o.pools = append(o.pools, &source[topology.PoolView]{ask: p.View, ok: func(v topology.PoolView) bool { return v.OK() }})
	}
	for i := range nodes {
		n := nodes[i]
		o.sql = append(o.sql, &source[topology.SQLFacts]{ask: n.SQL.Probe, ok: func(f topology.SQLFacts) bool { return f.OK() || f.Refused }})
		o.agent = append(o.agent, &source[topology.Inspection]{
			ask: func(ctx context.Context) topology.Inspection { return inspect(ctx, n) },
			ok:  func(i topology.Inspection) bool { return i.OK() },
		})
	}
	return o
}

// inspect turns an agent's answer, or the lack of one, into a fact.
func inspect(ctx context.Context, n Node) topology.Inspection {
	if n.Agent == nil {
		why := n.AgentErr
		if why == "" {
			why = "no agent is configured for this node"
		}
		return topology.Inspection{Source: topology.Source{At: time.Now(), Err: why}}
	}
	ins, err := n.Agent.Inspect(ctx)
	ins.At = time.Now()
	if err != nil {
		ins.Err = err.Error()
	}
	return ins
}

// Observe asks every source once and returns what is known now.
func (o *Observer) Observe(ctx context.Context) topology.Snapshot {
	snap := topology.Snapshot{
		Pools: make([]topology.PoolView, len(o.pools)),
		Nodes: make([]topology.Node, len(o.nodes)),
	}
	var wg sync.WaitGroup
	for i, p := range o.pools {
		wg.Go(func() {
			v, answered := p.get(ctx, o.opts)
			if !answered {
				v.Source = unanswered()
				v.Primary = topology.NoNode
			}
			snap.Pools[i] = v
		})
	}
	for i, n := range o.nodes {
		snap.Nodes[i] = topology.Node{ID: n.ID, Host: n.Host, Port: n.Port, AppName: n.AppName,
			AlwaysPrimary: n.AlwaysPrimary, NoFailover: n.NoFailover}
		wg.Go(func() {
			f, answered := o.sql[i].get(ctx, o.opts)
			if !answered {
				f = topology.SQLFacts{Source: unanswered()}
			}
			snap.Nodes[i].SQL = f
		})
		wg.Go(func() {
			a, answered := o.agent[i].get(ctx, o.opts)
			if !answered {
				a = topology.Inspection{Source: unanswered()}
			}
			snap.Nodes[i].Agent = a
		})
	}
	wg.Wait()
	o.lineages(ctx, &snap)
	o.progress(&snap)
	snap.Taken = time.Now()
	return snap
}

func unanswered() topology.Source {
	return topology.Source{At: time.Now(), Err: "no answer yet: the question is still open"}
}

// progress marks the nodes whose replay position moved since the pass before.
func (o *Observer) progress(snap *topology.Snapshot) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		if !n.SQL.OK() {
			continue
		}
		before, seen := o.last[n.ID]
		n.SQL.ReplayProgressed = seen && n.SQL.Replay > before
		o.last[n.ID] = n.SQL.Replay
	}
}
