package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/dbhost"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/internal/show/control"
)

// AgentOptions are what an Agent is made from; all are needed.
type AgentOptions struct {
	Pool *config.Pool
	Node topology.NodeID // one of Pool's
	// Socket is the path of the unix socket to listen on.
	Socket string
	Log    *slog.Logger
}

// Agent is a node's agent in a process of its own, with its listeners.
type Agent struct {
	o       AgentOptions
	undo    undo
	agent   *agent.Agent
	servers []*server
}

// NewAgent wires an Agent. It listens on Socket and, where agent.listen gives an
// address, over TLS there.
func NewAgent(o AgentOptions) (_ *Agent, err error) {
	a := &Agent{o: o}
	defer a.undo.onError(&err)
	p, n := o.Pool, o.Pool.Node(o.Node)
	local, h, err := newLocal(p, n, o.Log, readWrite, stopAlone(p))
	if err != nil {
		return nil, err
	}
	a.agent = local
	a.undo.add(func() error { h.Close(); return nil })
	a.undo.add(local.Close)
	var conf func() (*tls.Config, error)
	if p.Agent.Listen != "" {
		conf = certFiles(p).Server
		if _, err := conf(); err != nil {
			return nil, exit.With(exit.Usage, err, "repool certs makes the files")
		}
	}
	l, err := control.Listen(o.Socket)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	a.undo.add(closeListener(l))
	srv := agentapi.NewServer(local, selfOf(n, h, local, newNamedControllers(p, o.Log)), conf, o.Log)
	a.servers = append(a.servers, &server{http: srv, begin: func() error { return srv.Serve(l) }})
	if conf != nil {
		far, err := net.Listen("tcp", p.Agent.Listen)
		if err != nil {
			return nil, exit.With(exit.Usage, fmt.Errorf("agent.listen: %w", err))
		}
		a.undo.add(closeListener(far))
		a.servers = append(a.servers, &server{http: srv, begin: func() error { return srv.ServeTLS(far, "", "") }})
	}
	return a, nil
}

// Run works until ctx is done, then asks a run to stop, waits for it and returns
// nil; or until a part fails, with its error. It may be called once.
func (a *Agent) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.agent.Serve(ctx) })
	for _, s := range a.servers {
		group.Go(func() error { return s.serve(ctx) })
	}
	a.o.Log.Info("agent runs", "version", Version, "node", int(a.o.Node),
		"socket", a.o.Socket, "listen", a.o.Pool.Agent.Listen)
	return group.Wait()
}

// Close undoes NewAgent. It must not be called while Run runs.
func (a *Agent) Close() error { return a.undo.all() }

// JoinAgent joins in and out to the agent that listens on socket, until one side
// ends. exit.Unreachable: no agent runs.
func JoinAgent(ctx context.Context, in io.ReadCloser, out io.Writer, socket string) error {
	err := agentapi.Stdio(ctx, in, out, socket)
	if errors.Is(err, agentapi.ErrNotRunning) {
		return exit.With(exit.Unreachable, err, "start repool agent on this host: systemctl start repool-agent")
	}
	return err
}

// selfOf is what the agent tells of itself in each call.
func selfOf(n *config.NodeConf, h *dbhost.Host, a *agent.Agent, named *namedControllers) *agentapi.Self {
	return &agentapi.Self{
		Node: n.ID, Version: Version, ControllerCalled: a.ControllerCalled,
		Controllers: named.now,
		System: func() topology.SystemID {
			for _, place := range []resync.Place{resync.Home, resync.InRepair} {
				if c, err := h.Control(place); err == nil {
					return c.SystemID
				}
			}
			return 0
		},
	}
}

// stopAlone is after how long without a controller an agent stops a primary; zero:
// never.
func stopAlone(p *config.Pool) time.Duration {
	if p.Agent.WhenAlone == "stop" {
		return p.Agent.AloneAfter
	}
	return 0
}
