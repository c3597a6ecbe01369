package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/core/observe"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/dbhost"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// wiring is every part that talks to the pool, put together once.
type wiring struct {
	observer *observe.Observer
	pools    []controller.Pool
	agents   map[topology.NodeID]agentapi.Agent
	ids      []topology.NodeID
	// unreached says, of a wiring that only reads, why a node has no agent.
	unreached map[topology.NodeID]error
	local     []*agent.Agent
	hosts     []*dbhost.Host
	probers   []*observe.SQLProber
	links     []io.Closer // to agents elsewhere
	mu        sync.Mutex  // guards agents, local, hosts and links once all is wired
}

// detailEvery is how often a controller asks Pgpool-II for what only people and
// metrics want to know: each PCP connection costs it a process.
const detailEvery = 15 * time.Second

// access says what a command is going to do with the nodes.
type access bool

const (
	readOnly  access = false
	readWrite access = true
)

// wire connects nothing yet: it makes the parts, and finds what can be found
// wrong without asking anybody.
func (g *globals) wire(p *config.Pool, log *slog.Logger, acc access) (*wiring, error) {
	w := &wiring{ids: nodeIDs(p), agents: map[topology.NodeID]agentapi.Agent{}, unreached: map[topology.NodeID]error{}}
	var readers []observe.PoolReader
	for _, e := range append([]config.Endpoint{p.PCP}, p.Peers...) {
		conf, err := e.Config()
		if err != nil {
			return nil, exit.With(exit.Usage, err, "repool setup prints the lines for .pcppass and pcp.conf")
		}
		readers = append(readers, observe.NewPCPReader(conf, w.ids))
		w.pools = append(w.pools, controller.NewPCPPool(conf))
	}
	var nodes []observe.Node
	for i := range p.Nodes {
		n := &p.Nodes[i]
		conf, err := p.Database.ConnConfig(n.Host, n.Port, 3*time.Second)
		if err != nil {
			return nil, exit.With(exit.Usage, err)
		}
		prober := observe.NewSQLProber(conf)
		w.probers = append(w.probers, prober)
		on := observe.Node{ID: n.ID, Host: n.Host, Port: n.Port, AppName: n.AppName, AlwaysPrimary: n.AlwaysPrimary, NoFailover: n.NoFailover, SQL: prober}
		a, err := g.agentOf(p, n, log, w, acc)
		switch {
		case err == nil:
			on.Agent = a
			w.agents[n.ID] = a
		case acc == readOnly:
			on.AgentErr, w.unreached[n.ID] = err.Error(), err
		default:
			return nil, errors.Join(err, w.close())
		}
		nodes = append(nodes, on)
	}
	o := observe.Options{Promoted: promotedOf(p)}
	if acc == readWrite { // a command that only reads has gone before the answer comes
		o.DetailEvery = detailEvery
	}
	w.observer = observe.New(readers, nodes, o)
	return w, nil
}

// promotedOf reads the failover hook's record of the last primary.
func promotedOf(p *config.Pool) func() topology.Promotion {
	return func() topology.Promotion {
		last, ok := hook.LastPrimary(p.Controller.StateDir)
		if !ok {
			return topology.Promotion{}
		}
		return topology.Promotion{Node: last.Node, SystemID: last.SystemID, History: last.History}
	}
}

// agentOf reaches a node's agent, or makes one in this process.
func (g *globals) agentOf(p *config.Pool, n *config.NodeConf, log *slog.Logger, w *wiring, acc access) (agentapi.Agent, error) {
	switch n.Agent.Kind {
	case config.AgentUnix, config.AgentTLS, config.AgentSSH:
		a := dialAgent(p, n, acc)
		if c, ok := a.(io.Closer); ok {
			w.links = append(w.links, c)
		}
		return a, nil
	case config.AgentLocal:
		a, h, err := localAgent(p, n, log, acc, 0) // hears its controller in the same process
		if err != nil {
			return nil, err
		}
		w.local, w.hosts = append(w.local, a), append(w.hosts, h)
		return a, nil
	default:
		return nil, exit.New(exit.Usage, "node %d: it is not said how to reach its agent", n.ID)
	}
}

// dialAgent reaches the agent of a node in another process. Nothing is opened
// before the first call.
func dialAgent(p *config.Pool, n *config.NodeConf, acc access) agentapi.Agent {
	expect := &agentapi.Expect{Node: n.ID, Version: Version, Controller: acc == readWrite, System: func() topology.SystemID {
		return promotedOf(p)().SystemID
	}}
	switch n.Agent.Kind {
	case config.AgentTLS:
		files := &certs.Files{CA: p.TLS.CA, Cert: p.TLS.Cert, Key: p.TLS.Key}
		return agentapi.DialTLS(n.Agent.Address(), files.Client, expect)
	case config.AgentSSH:
		return agentapi.DialSSH(agentapi.SSH{User: n.Agent.User, Host: n.Agent.Host, Port: n.Agent.Port,
			Program: p.SSH.Program, ConfigFile: p.SSH.ConfigFile, Node: int(n.ID)}, expect)
	default:
		return agentapi.DialUnix(n.Agent.Path, expect)
	}
}

// localAgent makes the agent of a node on this machine. One that only reads
// makes nothing on disk and takes no run over. stopAlone is agent.Options'.
func localAgent(p *config.Pool, n *config.NodeConf, log *slog.Logger, acc access, stopAlone time.Duration) (*agent.Agent, *dbhost.Host, error) {
	// Root may look at everything; only what it made would be in the way.
	if acc == readWrite || os.Geteuid() != 0 {
		if err := mayWorkOn(n); err != nil {
			return nil, nil, err
		}
	}
	login := func(l config.Login) dbhost.Login {
		return dbhost.Login{User: l.User, DBName: l.DBName, Passfile: l.Passfile, SSLMode: l.SSLMode}
	}
	rate := ""
	if p.MaxRate > 0 {
		rate = strconv.FormatUint(max(32, p.MaxRate/1024), 10) + "k"
	}
	h, err := dbhost.New(dbhost.Options{
		Node: n.ID, DataDir: n.DataDir, ConfigFile: n.ConfigFile, BinDir: n.BinDir, Workshop: n.Workshop, VaultDir: n.VaultDir,
		Database: login(p.Database), Replication: login(p.Replication), Port: n.Port, Host: n.Host,
		Env: p.Environment, MaxRate: rate, Compression: p.Compression, Headroom: p.Policy.SpaceHeadroom, Custom: customCommand(p, n), Log: log, ReadOnly: acc == readOnly,
	})
	if err != nil {
		return nil, nil, exit.With(exit.Usage, err)
	}
	up := agent.NewUpstream(agent.UpstreamOptions{User: p.Database.User, DBName: p.Database.DBName, Passfile: p.Database.Passfile, SSLMode: p.Database.SSLMode})
	a, err := agent.New(agent.Options{Node: n.ID, Workshop: h.Workshop(), Host: h, Upstream: up, Version: Version, Log: log, Headroom: p.Policy.SpaceHeadroom,
		StopAlone: stopAlone, ReadOnly: acc == readOnly})
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return a, h, nil
}

// customCommand gives the operator's resync_command for a run, with Pgpool-II's
// placeholders: the node to be resynced, and the primary as new main, new
// primary and recovery source. nil: the built-in engine does it.
func customCommand(p *config.Pool, n *config.NodeConf) func(topology.RunRequest) string {
	if p.ResyncCommand == "" {
		return nil
	}
	return func(req topology.RunRequest) string {
		up := p.Node(req.Upstream.Node)
		if up == nil {
			up = &config.NodeConf{ID: req.Upstream.Node, Host: req.Upstream.Host, Port: req.Upstream.Port}
		}
		id, upID := strconv.Itoa(int(n.ID)), strconv.Itoa(int(up.ID))
		return pgpoolconf.Expand(p.ResyncCommand, map[byte]string{
			'd': id, 'h': n.Host, 'p': strconv.Itoa(n.Port), 'D': n.DataDir,
			'm': upID, 'H': up.Host, 'r': strconv.Itoa(up.Port), 'R': up.DataDir,
			'M': upID, 'P': upID, 'N': up.Host, 'S': strconv.Itoa(up.Port),
		})
	}
}

// mayWorkOn refuses a process that does not run as the data directory's owner:
// files of another owner would keep the server, or the real agent, from
// starting.
func mayWorkOn(n *config.NodeConf) error {
	for _, dir := range []string{n.DataDir, n.Workshop} {
		info, err := os.Stat(dir)
		if err != nil {
			continue // missing is for the inspection to report
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
			return exit.With(exit.Usage, fmt.Errorf("node %d: %s belongs to user id %d and this process runs as %d", n.ID, dir, st.Uid, os.Geteuid()),
				"run repool as the owner of the data directory, such as: sudo -u postgres repool …")
		}
	}
	return nil
}

// runAgents keeps the in-process agents' upkeep going until ctx is done.
func (w *wiring) runAgents(ctx context.Context, run func(func() error)) {
	for _, a := range w.local {
		run(func() error { return a.Serve(ctx) })
	}
}

// hangUp ends the connections to agents elsewhere, and waits for no order.
func (w *wiring) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		_ = l.Close() // a connection that cannot be closed politely is dropped
	}
	w.links = nil
}

// close ends connections and agents.
func (w *wiring) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var errs []error
	w.hangUp()
	for _, a := range w.local {
		errs = append(errs, a.Close())
	}
	for _, h := range w.hosts {
		h.Close()
	}
	for _, p := range w.probers {
		_ = p.Close(ctx) // the process ends; a connection that cannot be closed politely is dropped
	}
	return errors.Join(errs...)
}

func nodeIDs(p *config.Pool) []topology.NodeID {
	var ids []topology.NodeID
	for _, n := range p.Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

// checkpointOn runs a checkpoint on one node and waits for it.
func checkpointOn(p *config.Pool) func(context.Context, topology.NodeID) error {
	return func(ctx context.Context, id topology.NodeID) error {
		n := p.Node(id)
		if n == nil {
			return fmt.Errorf("checkpoint: there is no node %d", id)
		}
		return sqlOn(ctx, p, n, "CHECKPOINT")
	}
}
