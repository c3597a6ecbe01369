package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// Pool is the whole configuration of a pool: pgpool.conf and repool.yaml
// merged, with every default filled in.
type Pool struct {
	File       string // repool.yaml; empty: there is none
	PgpoolConf string
	// Nodes are in the order of their ids, without the unused backend slots.
	Nodes []NodeConf
	// PCP is the Pgpool-II beside this controller, Peers the independent others.
	PCP   PCP
	Peers []PCP
	// Database is the role for queries and promotion, Replication the role that
	// standbys stream as.
	Database, Replication postgres.Login
	Controller            Controller
	Notify                Notify
	Log                   Log
	Tracing               Tracing
	Page                  Page
	Policy                plan.Policy
	Failover              FailoverRules
	// VaultMax and MaxRate are in bytes; MaxRate is per second, zero: no limit.
	VaultMax, MaxRate uint64
	// Compression of base backups, as dbhost takes it; empty: none.
	Compression string
	Environment Environment
	// ResyncCommand is the operator's own program, with Pgpool-II's
	// placeholders; empty: the built-in engine resyncs.
	ResyncCommand string
	// TLS and SSH are how agents on other hosts are reached. Agent is the agent on
	// this host, where ResolveAgent made the pool.
	TLS   TLS
	SSH   SSH
	Agent OwnAgent
	// Pgpool is the parsed pgpool.conf.
	Pgpool pgpoolconf.Pool
}

// NodeConf is one node as configured.
type NodeConf struct {
	ID topology.NodeID
	// Host is backend_hostnameN verbatim: empty or a directory means a unix
	// socket on this machine.
	Host string
	Port int
	// AppName is the standby's application_name: backend_application_nameN, or
	// the slot's name where that is empty.
	AppName string
	// Slot is the physical replication slot that the node streams through.
	Slot  string
	Agent Agent
	// DataDir is empty only for nodes whose agent is another process.
	DataDir string
	// ConfigFile and BinDir are empty if the agent is to find them itself.
	ConfigFile, BinDir string
	WorkDir, VaultDir  string
	// AlwaysPrimary and NoFailover are flags of backend_flagN.
	AlwaysPrimary, NoFailover bool
}

// Node returns the node with that id, or nil.
func (p *Pool) Node(id topology.NodeID) *NodeConf {
	for i := range p.Nodes {
		if p.Nodes[i].ID == id {
			return &p.Nodes[i]
		}
	}
	return nil
}

// Resolve reads pgpool.conf and merges it with repool.yaml. The error lists every
// problem found, each with file and line, or with the node.
func (l *Loaded) Resolve() (*Pool, error) { return l.resolve(true) }

// ResolveForHook is Resolve for a process that Pgpool-II started: whatever a
// promotion does not need is not an error. A node whose agent is unknown has
// AgentNone.
func (l *Loaded) ResolveForHook() (*Pool, error) { return l.resolve(false) }

func (l *Loaded) resolve(strict bool) (*Pool, error) {
	c := l.Config
	file, err := pgpoolconf.Load(c.Pgpool.Conf)
	if err != nil {
		return nil, fmt.Errorf("read pgpool.conf (set its path with pgpool.conf in repool.yaml, or with --pgpool-conf): %w",
			err)
	}
	pool, err := file.Pool(pgpoolconf.Version{})
	if err != nil && strict {
		return nil, err
	}
	ps := &problems{file: l.name(), at: l.at}
	p := &Pool{
		File: l.Path, PgpoolConf: c.Pgpool.Conf, Pgpool: pool,
		PCP:      c.Pgpool.PCP.resolved(&pool),
		Database: c.Database, Replication: c.Replication,
		Controller: c.Controller, Page: c.Page, Notify: c.Notify, Log: c.Log, Tracing: c.Tracing, Environment: c.Environment,
		VaultMax: l.sizes.vault, MaxRate: l.sizes.maxRate, Compression: c.Policy.Compression, TLS: c.TLS, SSH: c.SSH,
		Agent: c.Agent,
	}
	if !builtin(pool.ResyncCommand) {
		p.ResyncCommand = pool.ResyncCommand
	}
	for _, peer := range c.Peers {
		p.Peers = append(p.Peers, peer.PCP.resolved(nil))
	}
	p.Policy, p.Failover = l.policy(p), l.failover()
	l.nodes(p, ps, strict)
	if strict && pool.ClusteringMode != "streaming_replication" {
		ps.list = append(ps.list, &Problem{File: c.Pgpool.Conf, Msg: fmt.Sprintf(
			"backend_clustering_mode is %s: repool works with streaming_replication only", pool.ClusteringMode)})
	}
	if err := ps.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// name is the file name that problems of repool.yaml are reported with.
func (l *Loaded) name() string {
	if l.Path == "" {
		return "repool.yaml (none, all defaults)"
	}
	return l.Path
}

// nodes merges what the two files say about each node.
func (l *Loaded) nodes(p *Pool, ps *problems, strict bool) {
	given := map[int]int{}
	for i, n := range l.Config.Nodes {
		given[n.ID] = i
		if n.ID >= len(p.Pgpool.Backends) || p.Pgpool.Backends[n.ID].Unused() {
			ps.addAt(fmt.Sprintf("nodes[%d].id", i), "%s has no backend_port%d", p.PgpoolConf, n.ID)
		}
	}
	for _, b := range p.Pgpool.Backends {
		if b.Unused() {
			continue
		}
		var extra Node
		at := ""
		if i, ok := given[b.ID]; ok {
			extra, at = l.Config.Nodes[i], fmt.Sprintf("nodes[%d]", i)
		}
		n, err := merge(b, extra, l.Config.Vault.Directory)
		if err == nil && n.Agent.Kind == AgentTLS && !p.TLS.Set() {
			err = fmt.Errorf("node %d: its agent is reached over TLS, but there is no tls section; "+
				"repool certs creates the files", b.ID)
		}
		if err != nil && strict {
			ps.add(ps.at[at], "%v", err)
		}
		p.Nodes = append(p.Nodes, n)
	}
	if most := len(p.Nodes) - 1; strict && most > 0 && p.Failover.MinAnswers > most {
		ps.addAt("policy.failover.min_answers", "must be ≤ %d, the number of standbys", most)
	}
	if len(p.Nodes) == 0 {
		ps.list = append(ps.list, &Problem{File: p.PgpoolConf,
			Msg: "no nodes: backend_hostname0 and backend_port0 are missing"})
	}
}

// merge adds what repool.yaml says about a node to its backend slot. On error the
// node is usable except for its agent.
func merge(b pgpoolconf.Backend, extra Node, vault string) (NodeConf, error) {
	n := NodeConf{
		ID: topology.NodeID(b.ID), Host: b.Host, Port: b.Port,
		AppName: b.AppName, Slot: topology.SlotName(topology.NodeID(b.ID)),
		DataDir: b.DataDir, ConfigFile: extra.ConfigFile, BinDir: extra.BinDirectory,
		WorkDir: extra.WorkDirectory, AlwaysPrimary: b.Flags.AlwaysPrimary, NoFailover: b.Flags.DisallowToFailover,
	}
	orText(&n.AppName, n.Slot)
	if extra.DataDirectory != "" {
		n.DataDir = extra.DataDirectory
	}
	if n.DataDir != "" {
		n.DataDir = filepath.Clean(n.DataDir)
		orText(&n.WorkDir, n.DataDir+".repool")
	}
	if n.WorkDir != "" {
		n.VaultDir = filepath.Join(n.WorkDir, "vault")
	}
	if vault != "" {
		n.VaultDir = filepath.Join(vault, fmt.Sprintf("node%d", b.ID))
	}
	var err error
	switch {
	case extra.Agent != "":
		n.Agent, err = parseAgent(extra.Agent)
	case onThisMachine(b.Host):
		n.Agent = Agent{Kind: AgentLocal}
	default:
		return n, fmt.Errorf("node %d: %s is not this machine, so the address of its agent is needed: "+
			"add \"- {id: %d, agent: ssh://postgres@%s}\" (or https://host:port, or unix:/path) to nodes, "+
			"or agent: local if it is this machine after all", b.ID, b.Host, b.ID, b.Host)
	}
	if err == nil && n.Agent.Kind == AgentLocal && !filepath.IsAbs(n.DataDir) {
		err = fmt.Errorf("node %d: no data directory: set backend_data_directory%d in pgpool.conf, "+
			"or data_directory of the node in repool.yaml", b.ID, b.ID)
		if n.DataDir != "" {
			err = fmt.Errorf("node %d: the data directory must be an absolute path, got %q", b.ID, n.DataDir)
		}
	}
	return n, err
}

// errNoHome says that there is neither a passfile nor a home directory to find one in.
var errNoHome = errors.New("no .pcppass file: set pgpool.pcp.passfile, PCPPASSFILE or HOME")
