package sim

import (
	"context"
	"errors"
	"fmt"
	"github.com/repool/repool/test/fakes/fakehost"
	"time"
)

// place is an end of the network: a database host, a controller's host or
// Pgpool-II's.
type place int

const (
	pgpoolPlace     place = 100
	controllerPlace place = 200 // and one for each further controller
)

func (n *node) place() place { return place(n.ID) }

func (p place) String() string {
	switch {
	case p >= controllerPlace:
		return fmt.Sprintf("controller %d", p-controllerPlace)
	case p == pgpoolPlace:
		return "Pgpool-II"
	}
	return fmt.Sprintf("host %d", int(p))
}

type way struct{ from, to place }

// cut says whether nothing gets from one place to the other. The first
// controller lives on Pgpool-II's host.
func (w *World) cut(from, to place) bool {
	if from == controllerPlace {
		from = pgpoolPlace
	}
	if to == controllerPlace {
		to = pgpoolPlace
	}
	return from != to && w.cuts[way{from, to}] > 0
}

var (
	errTimeout = errors.New("connection timed out")
	errLost    = errors.New("connection lost")
)

// silence is how long a question without any answer is waited for.
const silence = 15 * time.Second

// link is one way of asking: an actor from one place to a node's server.
type link struct {
	*actor
	from   place
	to     *node
	silent *actor
}

func (w *World) link(name string, from place, to *node) *link {
	return &link{actor: w.actor(name), from: from, to: to, silent: w.actor(name + " silent")}
}

// hang is the wait for an answer that does not come.
func (l *link) hang(ctx context.Context) error {
	if err := l.silent.waitIn(ctx, silence, silence+time.Second); err != nil {
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return errTimeout
}

// ask carries a question to the node's server; act answers it there, under the
// world's lock, and is only called where the server takes connections. An
// answer can be lost after its effect.
func (l *link) ask(ctx context.Context, what string, act func(s *fakehost.Server) error) error {
	w := l.w
	if err := l.waitIn(ctx, w.latency, 3*w.latency); err != nil {
		return err
	}
	w.mu.Lock()
	w.now(l.actor)
	n := l.to
	switch {
	case w.cut(l.from, n.place()) || !n.Up || n.Server != nil && n.Server.Frozen:
		w.mu.Unlock()
		return l.hang(ctx)
	case !n.Accepting():
		w.mu.Unlock()
		return fakehost.ErrRefused
	}
	err := act(n.Server)
	w.did(l.actor, what)
	lost := w.cut(n.place(), l.from)
	w.mu.Unlock()
	if lost {
		return l.hang(ctx)
	}
	return err
}
