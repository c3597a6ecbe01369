package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/core/observe"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/pgpool/hook"
)

// parts are what talks to the pool: to Pgpool-II, PostgreSQL and the agents.
type parts struct {
	observer *observe.Observer
	pools    []controller.Pool
	agents   *agents
	probers  []*observe.SQLProber
}

// detailEvery is how often a controller asks Pgpool-II for what only people and
// metrics want to know: each PCP connection costs it a process.
const detailEvery = 15 * time.Second

// newParts makes the parts and finds the errors that need no connection; nothing is
// connected yet. With readWrite, every node has an agent.
func newParts(p *config.Pool, log *slog.Logger, acc access) (*parts, error) {
	w := &parts{agents: newAgents(p, log, acc)}
	var ids []topology.NodeID
	for i := range p.Nodes {
		ids = append(ids, p.Nodes[i].ID)
	}
	var readers []observe.PoolReader
	for _, e := range append([]config.PCP{p.PCP}, p.Peers...) {
		conf, err := e.Config()
		if err != nil {
			return nil, exit.With(exit.Usage, err, "repool setup prints the lines for .pcppass and pcp.conf")
		}
		readers = append(readers, observe.NewPCPReader(conf, ids))
		w.pools = append(w.pools, controller.NewPCPPool(conf))
	}
	var nodes []observe.Node
	for i := range p.Nodes {
		n := &p.Nodes[i]
		prober, err := observe.NewSQLProber(p.Database, n.Host, n.Port)
		if err != nil {
			return nil, errors.Join(exit.With(exit.Usage, err), w.close())
		}
		w.probers = append(w.probers, prober)
		on := observe.Node{ID: n.ID, Host: n.Host, Port: n.Port, AppName: n.AppName,
			AlwaysPrimary: n.AlwaysPrimary, NoFailover: n.NoFailover, SQL: prober}
		a, err := w.agents.of(n.ID)
		switch {
		case err == nil:
			on.Agent = a
		case acc == readOnly:
			on.AgentErr = err.Error()
		default:
			return nil, errors.Join(err, w.close())
		}
		nodes = append(nodes, on)
	}
	o := observe.Options{Promoted: func() topology.Promotion { return lastPromotion(p) },
		FailoverTrouble: failoverTrouble(p.PgpoolConf),
		FailoverRefused: func() topology.FailoverRefusal { return hook.Refused(p.Controller.StateDir) }}
	if acc == readWrite { // a command that only looks would have ended before the answer comes
		o.DetailEvery = detailEvery
	}
	w.observer = observe.New(readers, nodes, o)
	return w, nil
}

// close ends connections and agents.
func (w *parts) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := w.agents.close()
	for _, p := range w.probers {
		_ = p.Close(ctx) // the process ends; a connection that cannot be closed politely is dropped
	}
	return err
}

// failoverEvery is how old an answer about the failover command may be.
const failoverEvery = 3 * time.Second

// failoverTrouble looks at pgpool.conf and at the file of the failover command, not
// at every pass.
func failoverTrouble(conf string) func() string {
	var mu sync.Mutex // guards what follows
	var at time.Time
	var trouble string
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		if at.IsZero() || time.Since(at) >= failoverEvery {
			trouble, at = check.FailoverTrouble(conf), time.Now()
		}
		return trouble
	}
}

// lastPromotion is the failover hook's record of the last primary.
func lastPromotion(p *config.Pool) topology.Promotion {
	last, ok := hook.LastPrimary(p.Controller.StateDir)
	if !ok {
		return topology.Promotion{}
	}
	return last.Promotion()
}

// checkpoint runs a checkpoint on a node and waits for it.
func checkpoint(ctx context.Context, p *config.Pool, id topology.NodeID) (err error) {
	n := p.Node(id)
	if n == nil {
		return fmt.Errorf("checkpoint: there is no node %d", id)
	}
	conn, err := p.Database.Connect(ctx, n.Host, n.Port, postgres.Session{Connect: 3 * time.Second})
	if err != nil {
		return fmt.Errorf("node %d: %w", n.ID, err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("node %d: CHECKPOINT: %w", n.ID, err)
	}
	return nil
}
