package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/history"
)

// Version is the release.
const Version = "0.1.0"

// Options are what an App is made from; all are needed.
type Options struct {
	Pool *config.Pool
	Log  *slog.Logger
	// HookOut gets the output of hooks that the controller finishes after their
	// process was killed.
	HookOut io.Writer
}

// App is a controller and everything around it. Only one may exist at a time for a
// state directory.
type App struct {
	o          Options
	undo       undo
	parts      *parts
	audience   *audience
	controller *controller.Controller
	servers    []*server
}

// New wires an App. Its errors carry an exit status: exit.Refused where another
// controller has the state directory, exit.Usage where the configuration cannot
// work.
func New(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{o: o}
	defer a.undo.onError(&err)
	// Before anything is made: a file of another owner in the state directory
	// would keep the right controller from starting.
	p := o.Pool
	for i := range p.Nodes {
		if n := &p.Nodes[i]; n.Agent.Kind == config.AgentLocal {
			if err := mayWorkOn(n); err != nil {
				return nil, err
			}
		}
	}
	dir := p.Controller.StateDir
	unlock, err := lockStateDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	a.undo.add(unlock)
	store, err := history.Open(ctx, dir)
	if err != nil {
		return nil, exit.With(exit.Usage, err, "the state directory must be writable for the user that runs repool")
	}
	a.undo.add(store.Close)
	if a.parts, err = newParts(p, o.Log, readWrite); err != nil {
		return nil, err
	}
	a.undo.add(a.parts.close)
	if a.audience, err = newAudience(ctx, p, store, o.Log); err != nil {
		return nil, err
	}
	a.audience.metrics.Certificates(certificatesOf(p, a.parts.agents))
	deps := hookDeps(p, a.parts.agents, o.HookOut)
	a.controller, err = controller.New(ctx, controller.Options{
		Observer: a.parts.observer, Pools: a.parts.pools, Agents: a.parts.agents.all(), Policy: p.Policy,
		Store: store, Holds: history.CopyAt(dir, history.HoldsFile), Log: o.Log,
		Interval: p.Controller.Interval, Version: Version,
		Audience: a.audience.list(), Unfinished: &unfinished{deps: deps, log: o.Log},
		Checkpoint: func(ctx context.Context, node topology.NodeID) error { return checkpoint(ctx, p, node) },
		NotePrimary: func(last topology.Promotion, at time.Time) error {
			return hook.NotePrimary(dir, hook.PrimaryOf(last, at))
		},
		NotePosition: p.Failover.MaxLag != nil,
	})
	if err != nil {
		return nil, err
	}
	l, err := control.Listen(p.Controller.Socket)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	a.undo.add(closeListener(l))
	a.servers = append(a.servers, controlServer(l, a.controller))
	if p.Controller.Listen != "" {
		l, err := listenWeb(ctx, p.Controller.Listen)
		if err != nil {
			return nil, err
		}
		a.undo.add(closeListener(l))
		a.servers = append(a.servers, webServer(l, p, a.controller, a.audience.metrics, o.Log))
		o.Log.Info("web page and metrics", "listen", l.Addr().String())
	}
	return a, nil
}

// Run works until ctx is done, then ends in order and returns nil; or until a part
// fails, with its error. It may be called once. PostgreSQL servers and runs of
// agents in other processes go on without it.
func (a *App) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.controller.Run(ctx) })
	a.audience.run(ctx, group.Go)
	a.parts.agents.serve(ctx, group.Go)
	for _, s := range a.servers {
		group.Go(func() error { return s.serve(ctx) })
	}
	a.o.Log.Info("controller runs", "version", Version, "socket", a.o.Pool.Controller.Socket, "nodes", len(a.o.Pool.Nodes))
	return group.Wait()
}

// Close undoes New. It must not be called while Run runs.
func (a *App) Close() error { return a.undo.all() }

// undo is what has to be done in reverse order.
type undo []func() error

func (u *undo) add(f func() error) { *u = append(*u, f) }

// all does it, once.
func (u *undo) all() error {
	var errs []error
	for _, f := range slices.Backward(*u) {
		errs = append(errs, f())
	}
	*u = nil
	return errors.Join(errs...)
}

// onError does it where *err is one.
func (u *undo) onError(err *error) {
	if *err != nil {
		*err = errors.Join(*err, u.all())
	}
}
