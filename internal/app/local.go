package app

import (
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/dbhost"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// newLocal makes the agent of a node on this machine. A read-only one makes nothing
// on disk and takes over no run. stopAlone is that of agent.Options.
func newLocal(p *config.Pool, n *config.NodeConf, log *slog.Logger, acc access,
	stopAlone time.Duration) (*agent.Agent, *dbhost.Host, error) {
	// Root may look at everything; only what it made would be in the way.
	if acc == readWrite || os.Geteuid() != 0 {
		if err := mayWorkOn(n); err != nil {
			return nil, nil, err
		}
	}
	rate := ""
	if p.MaxRate > 0 {
		rate = strconv.FormatUint(max(32, p.MaxRate/1024), 10) + "k"
	}
	h, err := dbhost.New(dbhost.Options{
		Node: n.ID, Host: n.Host, Port: n.Port,
		DataDir: n.DataDir, ConfigFile: n.ConfigFile, BinDir: n.BinDir, WorkDir: n.WorkDir, VaultDir: n.VaultDir,
		Database: p.Database, Replication: p.Replication, Env: p.Environment,
		MaxRate: rate, Compression: p.Compression, Headroom: p.Policy.SpaceHeadroom, Custom: customCommand(p, n),
		Log: log, ReadOnly: acc == readOnly,
	})
	if err != nil {
		return nil, nil, exit.With(exit.Usage, err)
	}
	a, err := agent.New(agent.Options{
		Node: n.ID, WorkDir: h.WorkDir(), Host: h, Upstream: agent.NewUpstream(p.Database),
		Headroom: p.Policy.SpaceHeadroom, StopAlone: stopAlone,
		Version: Version, Log: log, ReadOnly: acc == readOnly,
	})
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
