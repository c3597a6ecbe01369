// Package testpool is a real pool under test: a lab with hooks and a controller,
// and the questions and claims that every suite has of one. The suites embed Pool
// and add what is theirs.
package testpool

import (
	"context"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/lab"
)

// Patience bounds one healing in a test. It is far above what any takes on an
// idle machine, since tests run side by side on few cores.
const Patience = 2 * time.Minute

// Slots bounds how many pools of one suite exist at a time, whatever -parallel
// says.
type Slots chan struct{}

// Pool is one real pool. Its methods fail T; they may be called from the test's
// own goroutine only.
type Pool struct {
	*lab.Lab
	T   *testing.T
	Ctx context.Context // ends with the test
	Ctl *control.Client // of the first controller
}

// Up builds a pool with hooks and controller as soon as a slot is free, waits until it is whole, and takes it down with
// the test. The empty Repool means Binary. Tests that call it run side by side; each may call it once.
func Up(t *testing.T, slots Slots, o lab.Options) *Pool {
	t.Helper()
	o.Hooks, o.Controller, o.Catchable = true, true, true
	if o.Repool == "" {
		o.Repool = Binary(t)
	}
	p := Bare(t, slots, o)
	p.Ctl = control.NewClient(p.ControllerSocket(0))
	p.Whole("the new pool", time.Time{})
	return p
}

// Bare is Up for a pool without repool, of which Ctl is nil.
func Bare(t *testing.T, slots Slots, o lab.Options) *Pool {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	p := &Pool{Lab: Build(ctx, t, o), T: t, Ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() && p.Ctl != nil {
			p.dump()
		}
	})
	return p
}

// Build makes a lab from the templates of Main and takes it down with the test.
func Build(ctx context.Context, t testing.TB, o lab.Options) *lab.Lab {
	t.Helper()
	if templates == nil {
		t.Fatal("the package has no TestMain that calls testpool.Main")
	}
	if missing := lab.MissingPrograms(); len(missing) > 0 {
		t.Fatalf("no lab without %v: run make deps", missing)
	}
	o.Templates = templates
	l, err := lab.Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Errorf("take the lab down: %v", err)
		}
	})
	return l
}

// Must fails the test on an error.
func (p *Pool) Must(err error) {
	p.T.Helper()
	if err != nil {
		p.T.Fatal(err)
	}
}

// Wait waits for a condition with a deadline and fails the test otherwise.
func (p *Pool) Wait(what string, try func(ctx context.Context) error) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, Patience)
	defer cancel()
	if err := lab.WaitFor(ctx, what, try); err != nil {
		p.T.Fatal(err)
	}
}

// Primary is the node that serves writes.
func (p *Pool) Primary() int {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, Patience)
	defer cancel()
	i, err := p.WaitPrimary(ctx)
	p.Must(err)
	return i
}

// NewPrimary waits for a primary other than node old.
func (p *Pool) NewPrimary(old int) int {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, Patience)
	defer cancel()
	i, err := p.WaitNewPrimary(ctx, old)
	p.Must(err)
	return i
}

// Standbys are the nodes that are not the primary, lowest first; never none.
func (p *Pool) Standbys() []int {
	p.T.Helper()
	primary := p.Primary()
	var out []int
	for i := range p.Nodes {
		if i != primary {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		p.T.Fatal("the pool has no standby")
	}
	return out
}

// Hold and Release are the operator's words about a node.
func (p *Pool) Hold(node int) {
	p.T.Helper()
	p.Must(p.Ctl.Hold(p.Ctx, control.HoldRequest{Node: topology.NodeID(node), Who: "test", Why: p.T.Name()}))
}

// Release ends a hold, and the parking of a node.
func (p *Pool) Release(node int) {
	p.T.Helper()
	p.Must(p.Ctl.Release(p.Ctx, topology.NodeID(node), "test"))
}

// Wipe kills a node and removes its data directory. It is held meanwhile, so that
// nobody starts the server in between.
func (p *Pool) Wipe(node int) {
	p.T.Helper()
	p.Hold(node)
	p.Must(p.KillNode(p.Ctx, node))
	p.Must(p.DestroyData(p.Ctx, node))
	p.Release(node)
}

// WorkDir is where the node's agent keeps its journal, its vault and what it
// works on.
func (p *Pool) WorkDir(node int) string { return p.Nodes[node].WorkDir() }

// Catch is the lab's Catch with the test's patience. Call it before what makes
// the program start. caught waits until it is stopped; resume lets it go on.
func (p *Pool) Catch(wrote uint64, words ...string) (caught func() (resume func())) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, Patience)
	wait, err := p.Lab.Catch(ctx, wrote, words...)
	if err != nil {
		cancel()
		p.T.Fatal(err)
	}
	return func() func() {
		p.T.Helper()
		defer cancel()
		resume, err := wait()
		p.Must(err)
		return resume
	}
}

// SlowCopies in repool.yaml makes a base backup last for seconds, so that a test can act in the middle of it.
const SlowCopies = "policy: {max_rate: 8MB}\n"

// Copying is more than pg_rewind says before it overwrites its first byte, in
// bytes: for Catch.
const Copying = 64 << 10

// RewindOf and BackupOf are words that tell a node's programs from all others.
func (p *Pool) RewindOf(node int) []string {
	return []string{"pg_rewind", "--target-pgdata=" + p.WorkDir(node)}
}

// BackupOf is of its base backup.
func (p *Pool) BackupOf(node int) []string {
	return []string{"pg_basebackup", "--pgdata=" + p.WorkDir(node)}
}
