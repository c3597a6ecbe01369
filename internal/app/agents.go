package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"sync"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/dbhost"
)

// access says what is going to be done with the nodes.
type access bool

const (
	readOnly  access = false
	readWrite access = true
)

// agents are the agents of a pool's nodes: made in this process where the node is
// its own, else reached in another. Each is made when it is first asked for. The
// methods may be called from several goroutines.
type agents struct {
	pool *config.Pool
	log  *slog.Logger
	acc  access

	mu    sync.Mutex // guards what follows
	made  map[topology.NodeID]agentapi.Agent
	local []*agent.Agent
	hosts []*dbhost.Host
	links []io.Closer // to agents in other processes
}

func newAgents(p *config.Pool, log *slog.Logger, acc access) *agents {
	return &agents{pool: p, log: log, acc: acc, made: map[topology.NodeID]agentapi.Agent{}}
}

// of gives a node's agent.
func (a *agents) of(id topology.NodeID) (agentapi.Agent, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if made := a.made[id]; made != nil {
		return made, nil
	}
	n := a.pool.Node(id)
	if n == nil {
		return nil, exit.New(exit.Usage, "there is no node %d", id)
	}
	switch n.Agent.Kind {
	case config.AgentUnix, config.AgentTLS, config.AgentSSH:
		made := dial(a.pool, n, a.acc)
		if c, ok := made.(io.Closer); ok {
			a.links = append(a.links, c)
		}
		a.made[id] = made
	case config.AgentLocal:
		made, h, err := newLocal(a.pool, n, a.log, a.acc, 0) // its controller is in the same process
		if err != nil {
			return nil, err
		}
		a.local, a.hosts = append(a.local, made), append(a.hosts, h)
		a.made[id] = made
	default:
		return nil, exit.New(exit.Usage, "node %d: the configuration does not say how to reach its agent", n.ID)
	}
	return a.made[id], nil
}

// all gives those that have been made.
func (a *agents) all() map[topology.NodeID]agentapi.Agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.made)
}

// serve keeps the upkeep of the agents in this process going until ctx is done.
func (a *agents) serve(ctx context.Context, run func(func() error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.local {
		run(func() error { return l.Serve(ctx) })
	}
}

// hangUp ends the connections to agents in other processes, without waiting for
// their answers.
func (a *agents) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.links {
		_ = l.Close() // a connection that cannot be closed politely is dropped
	}
	a.links = nil
}

// close ends connections and agents. A run of an agent in this process is asked to
// stop, and is waited for.
func (a *agents) close() error {
	a.hangUp()
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, l := range a.local {
		errs = append(errs, l.Close())
	}
	for _, h := range a.hosts {
		h.Close()
	}
	return errors.Join(errs...)
}

// dial reaches the agent of a node in another process. Nothing is opened before
// the first call.
func dial(p *config.Pool, n *config.NodeConf, acc access) agentapi.Agent {
	expect := &agentapi.Expect{Node: n.ID, Version: Version, Controller: acc == readWrite,
		System: func() topology.SystemID { return lastPromotion(p).SystemID }}
	switch n.Agent.Kind {
	case config.AgentTLS:
		return agentapi.DialTLS(n.Agent.Address(), certFiles(p).Client, expect)
	case config.AgentSSH:
		return agentapi.DialSSH(agentapi.SSH{User: n.Agent.User, Host: n.Agent.Host, Port: n.Agent.Port,
			Program: p.SSH.Program, ConfigFile: p.SSH.ConfigFile, Node: int(n.ID)}, expect)
	default:
		return agentapi.DialUnix(n.Agent.Path, expect)
	}
}

func certFiles(p *config.Pool) *certs.Files {
	return &certs.Files{CA: p.TLS.CA, Cert: p.TLS.Cert, Key: p.TLS.Key}
}

// Inspect asks the agent of a node in another process about the node.
func Inspect(ctx context.Context, p *config.Pool, n *config.NodeConf) (topology.Inspection, error) {
	a := dial(p, n, readOnly)
	if c, ok := a.(io.Closer); ok {
		defer c.Close()
	}
	return a.Inspect(ctx)
}
