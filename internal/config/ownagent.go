package config

import (
	"fmt"
	"path/filepath"

	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// DefaultAgentSocket is where the agent of a database host listens.
const DefaultAgentSocket = "/run/repool/agent.sock"

// IsAgent says whether this configures an agent on a host without Pgpool-II: it
// has an agent section.
func (l *Loaded) IsAgent() bool {
	_, given := l.at["agent"]
	return given
}

// ResolveAgent is Resolve for such a host: a pool of the one node that the agent
// section names. pgpool.conf is not read: an agent learns of the other nodes from
// its orders, and what must not come from outside is in repool.yaml.
func (l *Loaded) ResolveAgent() (*Pool, error) {
	if !l.IsAgent() {
		return nil, fmt.Errorf("%s has no agent section", l.name())
	}
	c := l.Config
	orText(&c.Agent.Socket, DefaultAgentSocket)
	orText(&c.Agent.WhenAlone, "keep")
	if c.Agent.Port == 0 {
		c.Agent.Port = 5432
	}
	p := &Pool{
		File: l.Path, Database: c.Database, Replication: c.Replication,
		Controller: c.Controller, Log: c.Log, Environment: c.Environment,
		VaultMax: l.sizes.vault, MaxRate: l.sizes.maxRate, Compression: c.Policy.Compression,
		TLS: c.TLS, SSH: c.SSH, Agent: c.Agent, ResyncCommand: c.Agent.ResyncCommand,
	}
	p.Policy = l.policy(p)
	var extra Node
	for _, n := range c.Nodes {
		if n.ID == c.Agent.Node {
			extra = n
		}
	}
	extra.Agent = string(AgentLocal)
	n, err := merge(pgpoolconf.Backend{ID: c.Agent.Node, Host: c.Agent.Host, Port: c.Agent.Port}, extra, c.Vault.Directory)
	ps := &problems{file: l.name(), at: l.at}
	if !filepath.IsAbs(n.DataDir) {
		err = fmt.Errorf("the data directory is missing: add \"- {id: %s, data_directory: /…}\" to nodes", n.ID)
	}
	if err != nil {
		ps.addAt("agent", "%v", err)
		return nil, ps.err()
	}
	p.Nodes = []NodeConf{n}
	return p, nil
}
