package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/repool/repool/lab"
)

// errNotNow: the fault does not fit the moment; another is drawn.
var errNotNow = errors.New("not now")

// fault is one kind of bad thing. do says what it did; one that lasts leaves
// its end in run.undo.
type fault struct {
	kind string
	root bool // needs root
	// network faults need hosts of their own for the nodes (Options.Network).
	network bool
	// rare faults are drawn half as often as the others: they only disturb.
	rare bool
	do   func(*run, context.Context) (string, error)
}

// faults is the table from which is drawn.
var faults = []fault{
	{kind: "kill", do: (*run).kill},
	{kind: "immediate-stop", do: (*run).immediateStop},
	{kind: "freeze", do: (*run).freeze},
	{kind: "diverge", do: (*run).diverge},
	{kind: "destroy", do: (*run).destroy},
	{kind: "recycle-wal", do: (*run).recycleWAL},
	{kind: "disk-full", root: true, do: (*run).diskFull},
	{kind: "cpu-load", rare: true, do: (*run).cpuLoad},
	{kind: "pgpool-restart", rare: true, do: (*run).pgpoolRestart},
	{kind: "controller-kill", rare: true, do: (*run).controllerKill},
	{kind: "agent-kill", rare: true, do: (*run).agentKill},
	{kind: "second-primary", do: (*run).secondPrimary},
	{kind: "wrong-attach", do: (*run).wrongAttach},
	{kind: "power-cut", do: (*run).powerCut},
	{kind: "cable", network: true, do: (*run).cable},
	{kind: "parted", network: true, do: (*run).parted},
	{kind: "slow-link", network: true, rare: true, do: (*run).slowLink},
}

// Kinds names the kinds of faults.
func Kinds() []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.kind)
	}
	return out
}

// anyNode is a node whose server runs.
func (r *run) anyNode() (int, error) {
	n := r.rnd.IntN(len(r.lab.Nodes))
	if r.lab.Postmaster(n) == 0 {
		return 0, errNotNow
	}
	return n, nil
}

// thePrimary is the node that serves writes now.
func (r *run) thePrimary(ctx context.Context) (int, error) {
	p, err := r.lab.PrimaryNode(ctx)
	if err != nil {
		return 0, errNotNow
	}
	return p, nil
}

// aStandby is a node that streams from the primary, whose own data is nowhere
// the only copy.
func (r *run) aStandby(ctx context.Context) (int, error) {
	n := r.rnd.IntN(len(r.lab.Nodes))
	all := r.lab.Status(ctx)
	if s := all[n]; !s.Answers || s.Primary || !s.Streaming || !s.Attached {
		return 0, errNotNow
	}
	return n, nil
}

// lasts says whether a fault of that kind lasts.
func (r *run) lasts(kind string) bool {
	return slices.ContainsFunc(r.undo, func(u undo) bool { return u.kind == kind })
}

// until leaves the end of a fault that lasts.
func (r *run) until(kind string, do func(context.Context) error) {
	r.undo = append(r.undo, undo{kind, do})
}

func (r *run) kill(ctx context.Context) (string, error) {
	n, err := r.anyNode()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("node %d", n), r.lab.KillNode(ctx, n)
}

func (r *run) immediateStop(ctx context.Context) (string, error) {
	n, err := r.anyNode()
	if err != nil || r.lasts("freeze") {
		return "", errNotNow
	}
	return fmt.Sprintf("node %d", n), r.lab.StopNode(ctx, n, lab.Immediate)
}

// freeze stops a server where it is, for some seconds at least.
func (r *run) freeze(ctx context.Context) (string, error) {
	n, err := r.anyNode()
	if err != nil || r.lasts("freeze") {
		return "", errNotNow
	}
	if err := r.lab.Freeze(ctx, n); err != nil {
		return "", err
	}
	least := time.Duration(1+r.rnd.IntN(6)) * time.Second
	thaw := time.Now().Add(least)
	r.until("freeze", func(ctx context.Context) error {
		pause(ctx, time.Until(thaw))
		return r.lab.Thaw(ctx, n)
	})
	return fmt.Sprintf("node %d, for %s or more", n, least), nil
}

// diverge kills the primary with commits that reached no standby.
func (r *run) diverge(ctx context.Context) (string, error) {
	p, err := r.thePrimary(ctx)
	if err != nil {
		return "", err
	}
	rows, err := r.lab.Diverge(ctx, p, 1+r.rnd.IntN(20))
	r.byHand = append(r.byHand, rows...)
	return fmt.Sprintf("node %d, the primary, killed with %d commits that reached no standby", p, len(rows)),
		errors.Join(err, r.lab.KillNode(ctx, p))
}

func (r *run) destroy(ctx context.Context) (string, error) {
	n, err := r.aStandby(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("node %d, a standby, killed and its directory removed", n),
		errors.Join(r.lab.KillNode(ctx, n), r.lab.DestroyData(ctx, n))
}

// recycleWAL keeps a standby down until the primary no longer has what it needs.
func (r *run) recycleWAL(ctx context.Context) (string, error) {
	n, err := r.aStandby(ctx)
	if err != nil || !r.lab.ControllerRuns(0) {
		return "", errNotNow
	}
	p, err := r.thePrimary(ctx)
	if err != nil {
		return "", err
	}
	what := fmt.Sprintf("node %d killed, and WAL recycled on node %d", n, p)
	// Without its controller nobody starts the standby meanwhile.
	if err := r.lab.KillController(ctx, 0); err != nil {
		return what, err
	}
	err = errors.Join(r.lab.KillNode(ctx, n), r.lab.RecycleWAL(ctx, p))
	return what, errors.Join(err, r.startController(ctx))
}

// diskFull leaves a node a megabyte or less.
func (r *run) diskFull(ctx context.Context) (string, error) {
	n, err := r.anyNode()
	if err != nil || r.lasts("disk-full") {
		return "", errNotNow
	}
	leave := int64(r.rnd.IntN(1 << 20))
	if err := r.lab.FillDisk(ctx, n, leave); err != nil {
		return "", err
	}
	r.until("disk-full", func(ctx context.Context) error { return r.lab.FreeDisk(ctx, n) })
	return fmt.Sprintf("node %d, %d bytes left", n, leave), nil
}

// cpuLoad is more programs than the machine has processors.
func (r *run) cpuLoad(context.Context) (string, error) {
	if r.lasts("cpu-load") {
		return "", errNotNow
	}
	n := 2 + r.rnd.IntN(4)
	var busy []*exec.Cmd
	for range n {
		c := exec.Command("/bin/sh", "-c", "while :; do :; done")
		if err := c.Start(); err == nil {
			busy = append(busy, c)
		}
	}
	r.until("cpu-load", func(context.Context) error {
		for _, c := range busy {
			_ = c.Process.Kill() // it cannot end otherwise
			_ = c.Wait()         // and says so
		}
		return nil
	})
	return fmt.Sprintf("%d busy programs", n), nil
}

// pgpoolRestart kills Pgpool-II or stops it, and starts it a moment later.
func (r *run) pgpoolRestart(ctx context.Context) (string, error) {
	if !r.lab.PgpoolRuns(0) {
		return "", errNotNow
	}
	var err error
	what := "stopped"
	if r.rnd.IntN(2) == 0 {
		what, err = "killed", r.lab.KillPgpool(ctx, 0, false)
	} else {
		err = r.lab.StopPgpool(ctx, 0)
	}
	r.until("pgpool-restart", func(context.Context) error {
		if r.lab.PgpoolRuns(0) {
			return nil
		}
		return r.lab.LaunchPgpool(0)
	})
	return what, err
}

func (r *run) controllerKill(ctx context.Context) (string, error) {
	if !r.lab.ControllerRuns(0) {
		return "", errNotNow
	}
	r.until("controller-kill", r.startController)
	return "killed", r.lab.KillController(ctx, 0)
}

func (r *run) startController(ctx context.Context) error {
	if r.lab.ControllerRuns(0) {
		return nil
	}
	return r.lab.StartController(ctx, 0)
}

// agentKill needs agents that are processes of their own.
func (r *run) agentKill(ctx context.Context) (string, error) {
	n := r.rnd.IntN(len(r.lab.Nodes))
	if !r.lab.AgentRuns(n) {
		return "", errNotNow
	}
	r.until("agent-kill", func(ctx context.Context) error {
		if r.lab.AgentRuns(n) {
			return nil
		}
		return r.lab.StartAgent(ctx, n)
	})
	return fmt.Sprintf("of node %d", n), r.lab.KillAgent(ctx, n)
}
