package observe

import (
	"context"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

// PoolReader asks one Pgpool-II for its view.
type PoolReader interface {
	// Endpoint names the Pgpool-II.
	Endpoint() string
	View(ctx context.Context) topology.PoolView
	// Detail asks for what people want to know and no decision depends on.
	Detail(ctx context.Context) topology.PoolDetail
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
	// Agent is nil if no agent is configured or can be reached; AgentErr says why.
	Agent    agentapi.Inspector
	AgentErr string
}

// Options bound how long an Observe may take.
type Options struct {
	// Patience is how long Observe waits for a source that answered last time, and
	// SickPatience for one that did not. A query that takes longer goes on in the
	// background and is not sent twice. Zero: 2 s and 250 ms.
	Patience, SickPatience time.Duration
	// Deadline ends a query for good, and WALDeadline one that reads WAL, of which
	// there can be much. Zero: 5 s and 30 s.
	Deadline, WALDeadline time.Duration
	// DetailEvery is how often a pool's details are read, in the background. Zero:
	// never.
	DetailEvery time.Duration
	// Promoted reads the failover hook's record of the last primary. Nil: none.
	Promoted func() topology.Promotion
	// FailoverTrouble gives Snapshot.FailoverTrouble; it must be quick. Nil: not known.
	FailoverTrouble func() string
	// FailoverRefused gives Snapshot.FailoverRefused; it must be quick. Nil: not known.
	FailoverRefused func() topology.FailoverRefusal
}

func (o *Options) fill() {
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{
		{&o.Patience, 2 * time.Second}, {&o.SickPatience, 250 * time.Millisecond},
		{&o.Deadline, 5 * time.Second}, {&o.WALDeadline, 30 * time.Second},
	} {
		if *d.to == 0 {
			*d.to = d.value
		}
	}
}

// Observer asks all sources. Create it with New; it may be used by several
// goroutines.
type Observer struct {
	opts  Options
	pools []poolSource
	nodes []nodeSource
	// walFrom is where the WAL of the likely primary begins.
	walFrom *source[topology.LSN]

	mu sync.Mutex // guards what follows
	// proven is the line that an attached, streaming node was compared with. It is
	// forgotten when the stream breaks.
	proven map[topology.NodeID]string
}

type poolSource struct {
	reader PoolReader
	view   *source[topology.PoolView]
	detail *background[topology.PoolDetail]
}

type nodeSource struct {
	Node
	sql     *source[topology.SQLFacts]
	inspect *source[topology.Inspection]
	lineage *source[topology.Lineage]
}

// New returns an Observer of these pools and nodes. The first pool is the one
// beside the controller.
func New(pools []PoolReader, nodes []Node, opts Options) *Observer {
	opts.fill()
	o := &Observer{opts: opts, proven: map[topology.NodeID]string{},
		walFrom: &source[topology.LSN]{opts: opts, deadline: opts.WALDeadline,
			ok: func(l topology.LSN) bool { return l != 0 }}}
	for _, p := range pools {
		o.pools = append(o.pools, poolSource{reader: p,
			view: &source[topology.PoolView]{opts: opts, deadline: opts.Deadline,
				ok: func(v topology.PoolView) bool { return v.OK() }},
			detail: &background[topology.PoolDetail]{every: opts.DetailEvery, deadline: opts.Deadline, ask: p.Detail}})
	}
	for _, n := range nodes {
		o.nodes = append(o.nodes, nodeSource{Node: n,
			sql: &source[topology.SQLFacts]{opts: opts, deadline: opts.Deadline,
				ok: func(f topology.SQLFacts) bool { return f.OK() || f.Refused }},
			inspect: &source[topology.Inspection]{opts: opts, deadline: opts.Deadline,
				ok: func(i topology.Inspection) bool { return i.OK() }},
			lineage: &source[topology.Lineage]{opts: opts, deadline: opts.WALDeadline,
				ok: func(l topology.Lineage) bool { return l.OK() }},
		})
	}
	return o
}

// Observe asks every source and returns what is known now. It joins queries that an
// earlier call left running, so a fact may be up to Options.Deadline old.
func (o *Observer) Observe(ctx context.Context) topology.Snapshot {
	snap := o.observe(ctx, false)
	for i := range snap.Pools {
		if snap.Pools[i].OK() {
			snap.Pools[i].Detail = o.pools[i].detail.newest(ctx)
		}
	}
	return snap
}

// ObserveFresh is Observe with answers only to queries sent after the call began.
// Destructive steps are cleared by it (P2).
func (o *Observer) ObserveFresh(ctx context.Context) topology.Snapshot { return o.observe(ctx, true) }

func (o *Observer) observe(ctx context.Context, fresh bool) topology.Snapshot {
	snap := topology.Snapshot{
		Pools: make([]topology.PoolView, len(o.pools)),
		Nodes: make([]topology.Node, len(o.nodes)),
	}
	if o.opts.FailoverTrouble != nil {
		snap.FailoverTrouble = o.opts.FailoverTrouble()
	}
	if o.opts.FailoverRefused != nil {
		snap.FailoverRefused = o.opts.FailoverRefused()
	}
	if o.opts.Promoted != nil {
		snap.Promoted = o.opts.Promoted()
	}
	var wg sync.WaitGroup
	for i, p := range o.pools {
		wg.Go(func() {
			v, answered := p.view.get(ctx, want[topology.PoolView]{fresh: fresh, ask: p.reader.View})
			if !answered {
				v = topology.PoolView{Source: unanswered(), Silent: true, Endpoint: p.reader.Endpoint(),
					Primary: topology.NoNode}
			}
			snap.Pools[i] = v
		})
	}
	for i, n := range o.nodes {
		snap.Nodes[i] = topology.Node{ID: n.ID, Host: n.Host, Port: n.Port, AppName: n.AppName,
			AlwaysPrimary: n.AlwaysPrimary, NoFailover: n.NoFailover}
		wg.Go(func() {
			f, answered := n.sql.get(ctx, want[topology.SQLFacts]{fresh: fresh, ask: n.SQL.Probe})
			if !answered {
				f = topology.SQLFacts{Source: unanswered()}
			}
			snap.Nodes[i].SQL = f
		})
		wg.Go(func() {
			a, answered := n.inspect.get(ctx, want[topology.Inspection]{fresh: fresh, ask: n.ask})
			if !answered {
				a = topology.Inspection{Source: unanswered()}
			}
			snap.Nodes[i].Agent = a
		})
	}
	wg.Wait()
	o.lineages(ctx, &snap, fresh)
	snap.Taken = time.Now()
	return snap
}

// ask asks the node's agent; no answer is a fact too.
func (n *nodeSource) ask(ctx context.Context) topology.Inspection {
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
		ins.Err, ins.ErrCode = err.Error(), agentapi.Code(err)
	}
	return ins
}

func unanswered() topology.Source {
	return topology.Source{At: time.Now(), Err: "no answer yet"}
}
