package sim

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// moment is a fault's beginning or end.
type moment struct {
	at    time.Duration
	fault Fault
	over  bool
}

// play is the world's own goroutine: it starts everything, lets the faults happen,
// ends them, and waits for the pool to be whole.
func (w *World) play() {
	root := w.actor("world")
	for _, n := range w.nodes {
		w.mu.Lock()
		_ = w.Start(n.Node, false, 100*time.Millisecond) // cannot fail on a sound directory
		w.mu.Unlock()
		w.startAgent(n)
	}
	w.goroutines.Go(w.physics)
	root.wait(300*time.Millisecond, 400*time.Millisecond)
	w.pgpool.start(false)
	root.wait(200*time.Millisecond, 300*time.Millisecond)
	for _, b := range w.controllerHosts {
		w.must(b.start())
	}
	w.suffer(root)
	if w.broken() {
		return
	}
	w.heal(root)
	w.converge(root)
}

func (w *World) must(err error) {
	if err != nil {
		w.mu.Lock()
		w.violate("world", "%v", err)
		w.mu.Unlock()
	}
}

// broken says that a promise was broken: nothing after it matters.
func (w *World) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.violation != nil
}

// suffer lets the faults happen.
func (w *World) suffer(root *actor) {
	var all []moment
	for _, f := range w.faults {
		all = append(all, moment{f.At, f, false})
		if f.For > 0 {
			all = append(all, moment{f.At + f.For, f, true})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return int(a.at - b.at) })
	look := time.Second
	for _, m := range all {
		for !w.broken() && time.Since(w.begun) < m.at {
			root.wait(0, min(look, m.at-time.Since(w.begun)))
			w.supervise()
		}
		if w.broken() {
			return
		}
		w.befall(root, m)
	}
}

func (w *World) befall(root *actor, m moment) {
	e := effectOf(m.fault.Kind)
	w.mu.Lock()
	w.now(root)
	if m.over {
		w.note("over: %s", m.fault)
	} else {
		w.note("FAULT %s", m.fault)
		w.cover.faults[m.fault.Kind]++
	}
	w.mu.Unlock()
	n := w.nodes[int(m.fault.Node)%len(w.nodes)]
	switch {
	case !m.over:
		e.do(w, n, m.fault)
	case e.undo != nil:
		e.undo(w, n, m.fault)
	}
	w.mu.Lock()
	w.Check()
	w.mu.Unlock()
	w.supervise()
}

// supervise starts again what has died and is not held down.
func (w *World) supervise() {
	for _, n := range w.nodes {
		w.mu.Lock()
		alive := false
		for _, p := range n.agents {
			alive = alive || !p.dead
		}
		if alive {
			n.alone = time.Time{}
		} else if n.alone.IsZero() {
			n.alone = time.Now()
		}
		due := n.Up && !alive && n.agentsHeld == 0 && time.Since(n.alone) > time.Second
		w.mu.Unlock()
		if due {
			w.startAgent(n)
		}
	}
	for _, b := range w.controllerHosts {
		if b.held == 0 && b.running() == nil {
			w.must(b.start())
		}
	}
	w.mu.Lock()
	due := w.pgpoolHeld == 0 && !w.pgpool.up
	forget := w.forget
	w.forget = false
	w.mu.Unlock()
	if due {
		w.pgpool.start(forget)
	}
}

// powerOn brings a host back, and where its service manager starts the server,
// that too.
func (w *World) powerOn(n *node, _ Fault) {
	if n.Up {
		return
	}
	n.Up, n.troubled = true, time.Now()
	if n.autostart {
		_ = w.Start(n.Node, false, time.Second) // nothing to start is no error here
	}
}

// lead makes one controller's Pgpool-II the watchdog's leader.
func (w *World) lead(number int) {
	for _, b := range w.controllerHosts {
		b.leads = b.number == number%len(w.controllerHosts)
	}
}

// note adds a line to the trace. w.mu is held.
func (w *World) note(format string, args ...any) {
	w.trail = mix(w.trail ^ hashText(format))
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%10.4fs ", time.Since(w.begun).Seconds())+fmt.Sprintf(format, args...))
	}
}

// Scratch makes a directory for worlds, in memory where there is such a place.
func Scratch() (string, error) {
	dir, err := os.MkdirTemp("/dev/shm", "repool-sim-")
	if err != nil {
		return os.MkdirTemp("", "repool-sim-")
	}
	return dir, nil
}
