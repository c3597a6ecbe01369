package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/dbhost"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

type agentOptions struct {
	node   int
	socket string
	stdio  bool
}

func newAgent(g *globals) *cobra.Command {
	o := agentOptions{}
	c := &cobra.Command{
		Use:   "agent",
		Short: "Run a node's agent on its own",
		Long: `The agent is the only part that touches a data directory. "repool serve" has one
in its own process for each node of its host; run it on its own on every other
host with a node, and where the controller shall be restarted without disturbing a
resync. Its configuration says which data directory is its own; no caller can
name another.

It listens on a unix socket and, where agent.listen says so, over TLS for the
controllers named there. With --stdio it is no agent: it joins its standard input
and output to the agent that runs on this host, and is what a controller starts
over ssh. Resyncs belong to the resident agent, and outlive any connection.

EXIT STATUS
  0 stopped by a signal, or the other side has gone   1 internal error
  2 wrong configuration   4 with --stdio: no agent runs on this host`,
		Example: "  repool agent --config /etc/repool/repool.yaml\n  restrict,command=\"/usr/bin/repool agent --stdio\" ssh-ed25519 AAAA… repool@pgpool1",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := g.agentPool(&o)
			if err != nil {
				return err
			}
			if o.stdio {
				return g.runStdio(cmd.Context(), o)
			}
			return g.runAgent(cmd.Context(), p, o)
		},
	}
	c.Flags().IntVar(&o.node, "node", -1, "the node's `id` in pgpool.conf (default: what the agent section of repool.yaml says)")
	c.Flags().StringVar(&o.socket, "socket", "", "listen on this unix `socket` (default: the one that repool.yaml gives for the node)")
	c.Flags().BoolVar(&o.stdio, "stdio", false, "join standard input and output to the agent that runs on this host")
	c.AddCommand(newHoldStart(g), newLetStart(g))
	return c
}

// agentPool reads the configuration of an agent: of its own section, or, beside
// Pgpool-II, of the pool. It fills in what the flags leave open.
func (g *globals) agentPool(o *agentOptions) (*config.Pool, error) {
	l, err := config.LoadOrDefault(g.configFile, g.configFile != "", g.pgpoolConf)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	if l.IsAgent() {
		p, err := l.ResolveAgent()
		if err != nil {
			return nil, exit.With(exit.Usage, err)
		}
		if o.node >= 0 && o.node != p.Agent.Node {
			return nil, exit.New(exit.Usage, "this host's agent is for node %d, not for node %d", p.Agent.Node, o.node)
		}
		o.node = p.Agent.Node
		if o.socket == "" {
			o.socket = p.Agent.Socket
		}
		return p, nil
	}
	if o.node < 0 {
		return nil, exit.With(exit.Usage, errors.New("it is not said which node this agent is for"), "give --node with the node's id in pgpool.conf, or an agent section in repool.yaml")
	}
	p, err := l.Resolve()
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	n := p.Node(nodeIDOf(o.node))
	if n == nil {
		return nil, noSuchNode(p, o.node)
	}
	if o.socket == "" {
		o.socket = n.Agent.Path
	}
	if o.socket == "" {
		return nil, exit.New(exit.Usage, "node %d: give --socket, or say agent: unix:/path in repool.yaml", o.node)
	}
	return p, nil
}

func (g *globals) runStdio(ctx context.Context, o agentOptions) error {
	err := agentapi.Stdio(ctx, os.Stdin, os.Stdout, o.socket)
	if errors.Is(err, agentapi.ErrNotRunning) {
		return exit.With(exit.Unreachable, err, "start repool agent on this host: systemctl start repool-agent")
	}
	return err
}

func (g *globals) runAgent(ctx context.Context, p *config.Pool, o agentOptions) (err error) {
	n := p.Node(nodeIDOf(o.node))
	log, err := g.log(p.Log.Format)
	if err != nil {
		return err
	}
	a, h, err := localAgent(p, n, log, readWrite, alone(p))
	if err != nil {
		return err
	}
	defer h.Close()
	files := &certs.Files{CA: p.TLS.CA, Cert: p.TLS.Cert, Key: p.TLS.Key}
	var conf func() (*tls.Config, error)
	if p.Agent.Listen != "" {
		conf = files.Server
		if _, err := conf(); err != nil {
			return exit.With(exit.Usage, err, "repool certs makes the files")
		}
	}
	l, err := control.Listen(o.socket)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	srv := agentapi.NewServer(a, selfOf(n, h, a, newNamedControllers(p, log)), conf, log)
	group, gctx := errgroup.WithContext(ctx)
	if conf != nil {
		far, err := net.Listen("tcp", p.Agent.Listen)
		if err != nil {
			return exit.With(exit.Usage, errors.Join(fmt.Errorf("agent.listen: %w", err), l.Close()))
		}
		group.Go(func() error { return serveUntil(gctx, srv, func() error { return srv.ServeTLS(far, "", "") }) })
	}
	group.Go(func() error { return a.Serve(gctx) })
	group.Go(func() error { return serveUntil(gctx, srv, func() error { return srv.Serve(l) }) })
	log.Info("agent runs", "version", Version, "node", o.node, "socket", o.socket, "listen", p.Agent.Listen)
	tellManager(daemon.SdNotifyReady)
	return group.Wait()
}

// selfOf is what the agent tells of itself in each call.
func selfOf(n *config.NodeConf, h *dbhost.Host, a *agent.Agent, named *namedControllers) *agentapi.Self {
	return &agentapi.Self{
		Node: n.ID, Version: Version, Heard: a.Heard,
		Controllers: named.now,
		System: func() topology.SystemID {
			for _, place := range []resync.Place{resync.Home, resync.Aside} {
				if c, err := h.Control(place); err == nil {
					return c.SystemID
				}
			}
			return 0
		},
	}
}

// alone is after how long on its own an agent stops a primary; zero: never.
func alone(p *config.Pool) time.Duration {
	if p.Agent.WhenAlone == "stop" {
		return p.Agent.AloneAfter
	}
	return 0
}
