package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/repool/repool/internal/lab"
)

// errNotNow: the fault does not fit the moment; another is drawn.
var errNotNow = errors.New("not now")

// fault is one kind of bad thing. do says what it did; one that lasts leaves
// its end in run.undo.
type fault struct {
	kind string
	root bool // needs root
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
	return fmt.Sprintf("node %d, the primary, killed with %d commits that reached no standby", p, len(rows)), errors.Join(err, r.lab.KillNode(ctx, p))
}

func (r *run) destroy(ctx context.Context) (string, error) {
	n, err := r.aStandby(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("node %d, a standby, killed and its directory removed", n), errors.Join(r.lab.KillNode(ctx, n), r.lab.DestroyData(ctx, n))
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
	what, err := "killed", error(nil)
	if r.rnd.IntN(2) == 0 {
		err = r.lab.KillPgpool(ctx, 0, false)
	} else {
		what, err = "stopped", r.lab.StopPgpool(ctx, 0)
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

// deposed kills the primary while repool's controller is down, and waits for
// the next one, which Pgpool-II's hook promotes.
func (r *run) deposed(ctx context.Context) (old int, err error) {
	if !r.lab.ControllerRuns(0) || !r.lab.PgpoolRuns(0) || lab.Healthy(r.lab.Status(ctx)) != nil {
		return 0, errNotNow
	}
	if old, err = r.thePrimary(ctx); err != nil {
		return 0, err
	}
	if err := r.lab.KillController(ctx, 0); err != nil {
		return old, err
	}
	r.until("controller-kill", r.startController)
	if err := r.lab.KillNode(ctx, old); err != nil {
		return old, err
	}
	_, err = r.lab.WaitNewPrimary(ctx, old)
	return old, err
}

// secondPrimary is a person who starts the old primary as it was, and a client
// that still finds it.
func (r *run) secondPrimary(ctx context.Context) (string, error) {
	old, err := r.deposed(ctx)
	if err != nil {
		return fmt.Sprintf("node %d", old), err
	}
	if err := r.lab.StartNode(ctx, old); err != nil {
		return fmt.Sprintf("node %d", old), err
	}
	rows, err := r.lab.CommitRows(ctx, old, 1+r.rnd.IntN(20))
	r.byHand = append(r.byHand, rows...)
	return fmt.Sprintf("node %d, the old primary, started as it was; %d commits there", old, len(rows)), err
}

// wrongAttach is a person who makes the old primary a standby by a file alone,
// and attaches it.
func (r *run) wrongAttach(ctx context.Context) (string, error) {
	old, err := r.deposed(ctx)
	what := fmt.Sprintf("node %d, the old primary, made a standby by hand and attached", old)
	if err != nil {
		return what, err
	}
	if err := r.lab.Command(ctx, "touch", filepath.Join(r.lab.Nodes[old].DataDir, "standby.signal")).Run(); err != nil {
		return what, err
	}
	if err := r.lab.StartNode(ctx, old); err != nil {
		return what, err
	}
	r.readers.attachedByHand(old)
	return what, r.lab.Attach(ctx, old)
}

// powerCut ends everything at once; then the servers that ran come back in any
// order, then Pgpool-II and repool.
func (r *run) powerCut(ctx context.Context) (string, error) {
	if len(r.undo) > 0 {
		return "", errNotNow
	}
	var ran []int
	for _, n := range r.lab.Nodes {
		if r.lab.Postmaster(n.ID) != 0 {
			ran = append(ran, n.ID)
		}
	}
	if err := r.lab.PowerCut(ctx); err != nil {
		return "", err
	}
	r.rnd.Shuffle(len(ran), func(i, j int) { ran[i], ran[j] = ran[j], ran[i] })
	var errs []error
	if r.report.Agents == string(lab.AgentsSeparate) {
		for _, n := range r.lab.Nodes {
			errs = append(errs, r.lab.StartAgent(ctx, n.ID))
		}
	}
	start := []func() error{
		func() error {
			var errs []error
			for _, n := range ran {
				errs = append(errs, r.lab.StartNode(ctx, n))
			}
			return errors.Join(errs...)
		},
		func() error { return r.lab.LaunchPgpool(0) },
		func() error { return r.lab.StartController(ctx, 0) },
	}
	r.rnd.Shuffle(len(start), func(i, j int) { start[i], start[j] = start[j], start[i] })
	for _, do := range start {
		errs = append(errs, do())
	}
	return fmt.Sprintf("everything; servers %v come back", ran), errors.Join(errs...)
}
