package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/core/observe"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/test/fakes/fakehost"
)

// controllerHost is one controller's host: its state directory outlives its process.
type controllerHost struct {
	w      *World
	number int
	place  place
	store  *store
	conf   *config.Pool
	// c is the running process, nil between two.
	c       *controller.Controller
	stop    context.CancelFunc
	done    chan struct{}
	hand    *handle
	started int
	// leads is what its Pgpool-II says of the watchdog, where there is one.
	leads bool
	// last and pending are what was read of the state directory; nil: read again.
	last    *topology.Promotion
	pending *bool
	hooks   int // at work
	// held: so many faults keep it down.
	held int
}

// newControllerHost makes a controller's host, with what hooks keep in its state directory.
func (w *World) newControllerHost(number int) (*controllerHost, error) {
	b := &controllerHost{w: w, number: number, place: controllerPlace + place(number), leads: number == 0,
		store: &store{w: w, kept: map[string][]byte{"controller-id": fmt.Appendf(nil, `"c%d"`, number)}}}
	b.conf = &config.Pool{Controller: config.Controller{StateDir: filepath.Join(w.scratch, fmt.Sprintf("state%d",
		number))}}
	b.conf.Pgpool.WorkDir = w.scratch
	for _, n := range w.nodes {
		b.conf.Nodes = append(b.conf.Nodes, config.NodeConf{ID: n.ID, Host: n.Host, Port: n.Port,
			AppName: fakehost.AppName(n.ID), Slot: topology.SlotName(n.ID)})
	}
	return b, os.MkdirAll(b.conf.Controller.StateDir, 0o700)
}

// start starts its controller process. Only the world's own goroutine may call it.
func (b *controllerHost) start() error {
	w := b.w
	if b.done != nil {
		<-b.done // one process at a time has the state directory
	}
	b.started++
	hand := &handle{store: b.store}
	name := fmt.Sprintf("controller %d.%d", b.number, b.started)
	var nodes []observe.Node
	agents := map[topology.NodeID]agentapi.Agent{}
	checkpoints := map[topology.NodeID]*link{}
	for _, n := range w.nodes {
		c := w.client(name, b.place, n, b.number > 0)
		nodes = append(nodes, observe.Node{ID: n.ID, Host: n.Host, Port: n.Port, AppName: fakehost.AppName(n.ID),
			SQL: prober{w.link(fmt.Sprintf("%s SQL %d", name, n.ID), b.place, n)}, Agent: c})
		agents[n.ID] = c
		checkpoints[n.ID] = w.link(fmt.Sprintf("%s checkpoint %d", name, n.ID), b.place, n)
	}
	p := w.pgpool.door(name, b)
	deps := w.hookDeps(name+" hook", b)
	waiting := &unfinished{b, deps}
	ctx, stop := context.WithCancel(w.life)
	c, err := controller.New(ctx, controller.Options{
		Observer: observe.New([]observe.PoolReader{p}, nodes, observe.Options{Promoted: func() topology.Promotion {
			return b.promoted()
		}, FailoverRefused: func() (r topology.FailoverRefusal) {
			if waiting.Pending() {
				r = hook.Refused(b.conf.Controller.StateDir)
			}
			return r
		}}),
		Pools: []controller.Pool{p}, Agents: agents, Policy: w.policy, Store: hand, Log: w.log, Interval: interval,
		Version:    "sim",
		Unfinished: waiting,
		NotePrimary: func(last topology.Promotion, at time.Time) error {
			defer b.wrote()
			return hook.NotePrimary(b.conf.Controller.StateDir, hook.PrimaryOf(last, at))
		},
		Checkpoint: func(ctx context.Context, node topology.NodeID) error {
			return checkpoints[node].ask(ctx, "checkpoint", func(s *fakehost.Server) error {
				if s.Primary {
					w.CheckpointNow(w.nodes[node].Node)
				}
				return nil
			})
		},
	})
	if err != nil {
		stop()
		return err
	}
	done := make(chan struct{})
	w.mu.Lock()
	b.c, b.stop, b.done, b.hand = c, stop, done, hand
	w.mu.Unlock()
	w.goroutines.Go(func() {
		defer close(done)
		_ = c.Run(ctx) // has no errors of its own
	})
	return nil
}

// interval is the controllers' pace when nothing is under way.
const interval = 2 * time.Second

// kill ends its process; what it had not kept on disk is lost with it.
func (b *controllerHost) kill() {
	b.w.mu.Lock()
	c, stop := b.c, b.stop
	b.c = nil
	if b.hand != nil {
		b.hand.dead = true
	}
	b.w.mu.Unlock()
	if c != nil {
		stop()
	}
}

// running gives the controller process, or nil.
func (b *controllerHost) running() *controller.Controller {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	return b.c
}

// wrote says that something in the state directory may have changed.
func (b *controllerHost) wrote() {
	b.w.mu.Lock()
	b.last, b.pending = nil, nil
	b.w.mu.Unlock()
}

// promoted is the hook's record of the last primary, read when it may have
// changed.
func (b *controllerHost) promoted() topology.Promotion {
	b.w.mu.Lock()
	known, busy := b.last, b.hooks > 0
	b.w.mu.Unlock()
	if known != nil && !busy {
		return *known
	}
	p := topology.Promotion{}
	if l, ok := hook.LastPrimary(b.conf.Controller.StateDir); ok {
		p = l.Promotion()
	}
	b.w.mu.Lock()
	b.last = &p
	b.w.mu.Unlock()
	return p
}

// unfinished takes up promotions whose hook was killed, as repool serve does.
type unfinished struct {
	b    *controllerHost
	deps hook.Deps
}

// Pending is whether the spool holds anything.
func (u *unfinished) Pending() bool {
	u.b.w.mu.Lock()
	known, busy := u.b.pending, u.b.hooks > 0
	u.b.w.mu.Unlock()
	if known != nil && !busy {
		return *known
	}
	events, err := hook.Pending(u.b.conf.Controller.StateDir)
	is := err == nil && len(events) > 0
	u.b.w.mu.Lock()
	u.b.pending = &is
	u.b.w.mu.Unlock()
	return is
}

// Resume goes on with each.
func (u *unfinished) Resume(ctx context.Context) ([]controller.FinishedHook, error) {
	defer u.b.wrote()
	events, err := hook.Pending(u.b.conf.Controller.StateDir)
	if err != nil {
		return nil, err
	}
	var errs []error
	var done []controller.FinishedHook
	for _, e := range events {
		r, err := hook.Resume(ctx, u.deps, e)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, controller.FinishedHook{Node: r.Node, Code: string(r.Code), Text: r.Text})
	}
	return done, errors.Join(errs...)
}

// hookDeps is what a hook on the controller's host works with.
func (w *World) hookDeps(name string, b *controllerHost) hook.Deps {
	links := map[topology.NodeID]*link{}
	clients := map[topology.NodeID]*client{}
	for _, n := range w.nodes {
		links[n.ID] = w.link(fmt.Sprintf("%s SQL %d", name, n.ID), b.place, n)
		clients[n.ID] = w.client(name, b.place, n, false)
	}
	return hook.Deps{
		Pool: b.conf,
		Dial: func(ctx context.Context, id topology.NodeID) (hook.Server, error) {
			l := links[id]
			if err := l.ask(ctx, "connect", func(*fakehost.Server) error { return nil }); err != nil {
				return nil, err
			}
			return session{link: l, onPromote: func(n *node) { w.promotes(b, n) }}, nil
		},
		Agent:   func(id topology.NodeID) (hook.Fencer, error) { return clients[id], nil },
		Control: socket{b},
	}
}

// socket is the controller's socket, as hooks use it.
type socket struct{ b *controllerHost }

var errNoController = errors.New("the controller does not run")

// Look asks for a pass.
func (c socket) Look(_ context.Context, reason string) error {
	r := c.b.running()
	if r == nil {
		return errNoController
	}
	r.Look(reason)
	return nil
}

// Recover is not used here.
func (c socket) Recover(context.Context, topology.NodeID, func(string)) error { return errNoController }

// Resync is not used here.
func (c socket) Resync(context.Context, topology.NodeID) error { return errNoController }

// Checkpoint asks for one.
func (c socket) Checkpoint(ctx context.Context, id topology.NodeID) error {
	r := c.b.running()
	if r == nil {
		return errNoController
	}
	return r.Checkpoint(ctx, id)
}
