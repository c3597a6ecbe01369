package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

type agentOptions struct {
	node   int    // -1: the one of the agent section
	socket string // empty: the one that the configuration gives
	stdio  bool
}

func (o *agentOptions) nodeFlag(c *cobra.Command) {
	c.Flags().IntVar(&o.node, "node", -1,
		"the node's `id` in pgpool.conf (default: that of the agent section in repool.yaml)")
}

func newAgentCommand(g *globals) *cobra.Command {
	var o agentOptions
	c := &cobra.Command{
		Use:   "agent",
		Short: "Run a node's agent on its own",
		Long: `The agent is the only part that touches a data directory. "repool serve" has one
in its own process for each node of its host; run it on its own on every other
host with a node, and where the controller is to be restarted without disturbing a
resync. Its configuration says which data directory is its own; no caller can
name another.

It listens on a unix socket and, where agent.listen says so, over TLS for the
controllers named there. With --stdio it is not an agent: it joins its standard
input and output to the agent that runs on this host, and is what a controller
starts over ssh. Resyncs belong to the resident agent, and outlive any connection.

EXIT STATUS
  0 stopped by a signal, or the other side has gone   1 internal error
  2 wrong configuration   4 with --stdio: no agent runs on this host`,
		Example: "  repool agent --config /etc/repool/repool.yaml\n" +
			"  restrict,command=\"/usr/bin/repool agent --stdio\" ssh-ed25519 AAAA… repool@pgpool1",
		Args: terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.runAgent(cmd.Context(), o) },
	}
	o.nodeFlag(c)
	g.logFlag(c.PersistentFlags())
	c.Flags().StringVar(&o.socket, "socket", "",
		"listen on this unix `socket` (default: the one that repool.yaml gives for the node)")
	c.Flags().BoolVar(&o.stdio, "stdio", false, "join standard input and output to the agent that runs on this host")
	c.AddCommand(newHoldStartCommand(g), newAllowStartCommand(g))
	return c
}

func (g *globals) runAgent(ctx context.Context, o agentOptions) error {
	p, err := g.agentPool(&o)
	if err != nil {
		return err
	}
	if o.stdio {
		return app.JoinAgent(ctx, os.Stdin, os.Stdout, o.socket)
	}
	log, err := g.log(p.Log.Format)
	if err != nil {
		return err
	}
	a, err := app.NewAgent(app.AgentOptions{Pool: p, Node: topology.NodeID(o.node), Socket: o.socket, Log: log})
	if err != nil {
		return err
	}
	return runUntilDone(ctx, a)
}

// agentPool reads the configuration of an agent: its own section, or, beside
// Pgpool-II, the pool. It fills in what the flags leave open.
func (g *globals) agentPool(o *agentOptions) (*config.Pool, error) {
	l, err := g.load()
	if err != nil {
		return nil, err
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
		return nil, exit.With(exit.Usage, errors.New("the configuration does not say which node this agent is for"),
			"give --node with the node's id in pgpool.conf, or an agent section in repool.yaml")
	}
	p, err := l.Resolve()
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	n := p.Node(topology.NodeID(o.node))
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
