package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/history"
	"github.com/repool/repool/internal/terminal"
)

func newServe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the controller beside Pgpool-II",
		Long: `Watches the pool and brings failed nodes back. Run it beside each Pgpool-II, as
the user that owns the data directories (postgres). With Pgpool-II's watchdog,
only the controller beside the leader with quorum acts; the others only look.

It reads pgpool.conf for everything about the nodes, and repool.yaml, where there
is one, for the rest. Stopping it leaves every PostgreSQL server running.

EXIT STATUS
  0 stopped by a signal   1 internal error   2 wrong configuration
  3 another controller runs with this state directory`,
		Example: "  repool serve --config /etc/repool/repool.yaml",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := g.pool()
			if err != nil {
				return err
			}
			return g.runServe(cmd.Context(), p)
		},
	}
}

func (g *globals) runServe(ctx context.Context, p *config.Pool) (err error) {
	// Before anything is made: a file of another owner in the state directory
	// would keep the right controller from starting.
	for i := range p.Nodes {
		if n := &p.Nodes[i]; n.Agent.Kind == config.AgentLocal {
			if err := mayWorkOn(n); err != nil {
				return err
			}
		}
	}
	if err := mayWrite(p.Controller.StateDir); err != nil {
		return err
	}
	unlock, err := lockStateDir(p.Controller.StateDir)
	if err != nil {
		return err
	}
	defer unlock()
	store, err := history.Open(ctx, p.Controller.StateDir)
	if err != nil {
		return exit.With(exit.Usage, err, "the state directory must be writable for the user that runs repool")
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	log, err := g.log(p.Log.Format)
	if err != nil {
		return err
	}
	w, err := g.wire(p, log, readWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	a, err := newAudience(ctx, p, store, log)
	if err != nil {
		return err
	}
	a.metrics.Certificates(certificatesOf(p, w))
	c, err := controller.New(ctx, controller.Options{
		Audience: a.list(),
		Observer: w.observer, Pools: w.pools, Agents: w.agents, Policy: p.Policy, Store: store, Holds: history.CopyAt(p.Controller.StateDir, history.HoldsFile), Log: log,
		Interval: p.Controller.Interval, Version: Version, Unfinished: g.unfinishedHooks(p, w, log), Checkpoint: checkpointOn(p),
		NotePrimary: func(node topology.NodeID, system topology.SystemID, h topology.History, at time.Time) error {
			return hook.NotePrimary(p.Controller.StateDir, hook.Primary{Node: node, SystemID: system, History: h, At: at})
		},
	})
	if err != nil {
		return err
	}
	l, err := control.Listen(p.Controller.Socket)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	srv := &http.Server{Handler: control.NewHandler(c), ReadHeaderTimeout: 5 * time.Second}
	group, gctx := errgroup.WithContext(ctx)
	if err := g.serveWeb(gctx, group, p, c, a.metrics, log); err != nil {
		return errors.Join(err, l.Close())
	}
	group.Go(func() error { return c.Run(gctx) })
	a.run(gctx, group.Go)
	w.runAgents(gctx, group.Go)
	group.Go(func() error { return serveUntil(gctx, srv, func() error { return srv.Serve(l) }) })
	log.Info("controller runs", "version", Version, "socket", p.Controller.Socket, "nodes", len(p.Nodes))
	tellManager(daemon.SdNotifyReady)
	err = group.Wait()
	tellManager(daemon.SdNotifyStopping)
	return err
}

// serveUntil serves HTTP until ctx is done, then lets requests end.
func serveUntil(ctx context.Context, srv *http.Server, serve func() error) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err := srv.Shutdown(sctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close()
		}
		stopped <- err
	}()
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// tellManager tells the service manager; without one it does nothing.
func tellManager(state string) {
	_, _ = daemon.SdNotify(false, state) // no manager that listens is no error
}

// mayWrite refuses a state directory that belongs to another user.
func mayWrite(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return nil //nolint:nilerr // what is missing is made, and told about when that cannot be
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return exit.With(exit.Usage, fmt.Errorf("the state directory %s belongs to user id %d and this process runs as %d", dir, st.Uid, os.Geteuid()),
			"run repool as the directory's owner, such as: sudo -u postgres repool …, or set controller.state_dir")
	}
	return nil
}

// lockStateDir makes this the only controller with this state directory.
func lockStateDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("make state directory: %w", err), "set controller.state_dir, or make it and give it to the user that runs repool")
	}
	path := filepath.Join(dir, "serve.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("open lock: %w", err), "the state directory must be writable for the user that runs repool")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(exit.New(exit.Refused, "another controller runs with the state directory %s", dir), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing the only descriptor ends the lock
}

// sqlOn runs one statement on a node as repool's role.
func sqlOn(ctx context.Context, p *config.Pool, n *config.NodeConf, sql string) (err error) {
	conf, err := p.Database.ConnConfig(n.Host, n.Port, 3*time.Second)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return fmt.Errorf("node %d: %w", n.ID, err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("node %d: %s: %w", n.ID, sql, err)
	}
	return nil
}
