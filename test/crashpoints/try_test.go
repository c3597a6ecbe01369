package crashpoints

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab/proof"
	"github.com/repool/repool/test/testpool"
)

// death is what dies at a point beside the agent.
type death string

const (
	agentAlone death = "agent"
	controller death = "agent, controller"
	programs   death = "agent, its programs"
	powerCut   death = "power cut"
)

// trial is one death at one point.
type trial struct {
	point string
	death death
}

// ending is how a trial ended.
type ending struct {
	trial
	how  string // "attached by rewind"
	took time.Duration
	bad  []string
}

// try goes the way to the point, lets die what shall die there, starts
// everything again, and looks how it ends.
func (b *bench) try(c trial) ending {
	e := ending{trial: c}
	begun := time.Now()
	w, _, _ := wayTo(c.point)
	var err error
	for range 2 { // an old primary may hold WAL of its own by chance
		if err = b.reach(w, c.point); !errors.Is(err, errPassed) {
			break
		}
	}
	if err != nil {
		e.how, e.bad = "not reached", []string{err.Error(), b.dump()}
		b.restart()
		if _, err := b.whole(time.Now()); err != nil {
			b.t.Fatalf("%s: the pool does not heal: %v", c.point, err)
		}
		b.guard.Reset()
		return e
	}
	died := time.Now()
	b.guard.Reset() // on the way there hands promote nodes
	b.die(c)
	if w.mend != nil {
		w.mend(b)
	}
	b.guard.MustNotWrite(b.node, true)
	release := func() {}
	if parse(c.point).inRepairAt() {
		release = b.Supervise(b.node)
	}
	b.restart()
	parked, err := b.whole(died)
	release()
	b.guard.MustNotWrite(b.node, false)
	if err != nil {
		e.how, e.bad = "neither attached nor parked", []string{err.Error()}
		b.t.Errorf("%s: %v", c.point, err)
		b.t.Fatal(b.dump())
	}
	e.how = b.how(died)
	if parked != "" {
		e.how = fmt.Sprintf("parked (%s), released: %s", parked, e.how)
	}
	e.bad = append(e.bad, b.promises()...)
	e.took = time.Since(begun)
	return e
}

// reach goes the way; the agent of the node is dead at its end.
func (b *bench) reach(w way, name string) error {
	p := b.primary()
	if b.node, b.lost, b.ordered = p, nil, false; !w.primary {
		b.node = 1 - p
	}
	b.must(b.ctl.Release(b.ctx, topology.NodeID(b.node), "test")) // what failed before is forgotten
	b.must(b.StopAgent(b.ctx, b.node))
	for i, s := range w.stages {
		for _, do := range s.do {
			do(b)
		}
		dies := s.dies
		if i == len(w.stages)-1 {
			dies = name
		}
		b.arm(dies)
		if err := b.dead(dies, s.during); err != nil {
			if w.mend != nil {
				w.mend(b)
			}
			return err
		}
	}
	return nil
}

// die kills what dies with the agent.
func (b *bench) die(c trial) {
	switch c.death {
	case controller:
		b.must(b.KillController(b.ctx, 0))
	case programs:
		b.killPrograms()
	case powerCut:
		b.must(b.KillController(b.ctx, 0))
		b.must(b.PowerCutNode(b.ctx, b.node))
	}
}

// restart starts what is ours and does not run.
func (b *bench) restart() {
	for i := range b.Nodes {
		if !b.AgentRuns(i) {
			b.must(b.StartAgent(b.ctx, i))
		}
	}
	if !b.ControllerRuns(0) {
		b.must(b.StartController(b.ctx, 0))
	}
}

// how names what brought the node back, by its own journal.
func (b *bench) how(since time.Time) string {
	r := newest(b.workDir()).Run
	if r.Outcome == topology.RunDone && r.Ended.After(since) {
		return "attached by " + string(r.Method)
	}
	return "attached"
}

// promises looks at what must hold at the end, and clears the vault.
func (b *bench) promises() (bad []string) {
	ctx, cancel := context.WithTimeout(b.ctx, testpool.Patience)
	defer cancel()
	a, err := proof.Take(ctx, b.Lab, b.lost)
	if err != nil {
		return []string{err.Error()}
	}
	if !a.Equal() {
		bad = append(bad, "the copies differ: "+strings.Join(a.Differences, "; "))
	}
	if len(a.Missing) != len(b.lost) {
		bad = append(bad, fmt.Sprintf("%d of %d lost rows are on the primary", len(b.lost)-len(a.Missing), len(b.lost)))
	}
	if len(a.Unexplained) > 0 {
		bad = append(bad, fmt.Sprintf("%d of %d lost rows are in no vault report", len(a.Unexplained), len(b.lost)))
	}
	bad = append(bad, b.guard.Reset().Violations...)
	for _, n := range b.Nodes {
		entries, err := filepath.Glob(filepath.Join(n.WorkDir(), "vault", "*"))
		b.must(err)
		for _, e := range entries {
			b.must(os.RemoveAll(e))
		}
	}
	return bad
}

// dump is what a person would look at.
func (b *bench) dump() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var out strings.Builder
	for _, args := range [][]string{{"status"}, {"history", "--limit", "40"}} {
		s, err := b.Repool(ctx, append(args, "--config", b.RepoolConf())...)
		fmt.Fprintf(&out, "%v: %v\n%s\n", args, err, s)
	}
	if text, err := os.ReadFile(filepath.Join(b.Dir, "controller", "hooks.log")); err == nil {
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&out, "hooks:\n%s\n", strings.Join(lines[max(0, len(lines)-4):], "\n"))
	}
	return out.String()
}
