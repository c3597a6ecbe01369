package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// patience bounds one healing in a test. It is far above what any takes on an
// idle machine, since tests run side by side on few cores.
const patience = 2 * time.Minute

// binary builds repool once, unless REPOOL_BIN names one.
var binary = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("REPOOL_BIN"); b != "" {
		return filepath.Abs(b)
	}
	dir, err := os.MkdirTemp("", "repool-bin")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "repool")
	cmd := exec.Command("go", "build", "-o", out, "../../cmd/repool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build repool: %w\n%s", err, b)
	}
	return out, nil
})

// slots bounds how many pools exist at a time, whatever -parallel says.
var slots = make(chan struct{}, 3)

// pool is one real pool under test.
type pool struct {
	*lab.Lab
	t   *testing.T
	ctx context.Context
	ctl *control.Client

	passMu    sync.Mutex
	passSince time.Time
	passFrom  uint64
}

// up builds a pool with hooks and controller, and takes it down with the test.
// Tests that use it run side by side.
func up(t *testing.T, o lab.Options) *pool {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	o.Repool, o.Hooks, o.Controller = bin, true, true
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	l, err := lab.Up(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	p := &pool{Lab: l, t: t, ctx: ctx, ctl: control.NewClient(l.ControllerSocket(0))}
	t.Cleanup(func() {
		if t.Failed() {
			p.dump()
		}
		cancel()
		if err := l.Down(context.Background()); err != nil {
			t.Errorf("take the pool down: %v", err)
		}
	})
	p.whole("the new pool", time.Time{})
	return p
}

// must fails the test on an error.
func (p *pool) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for a condition with a deadline and fails the test otherwise.
func (p *pool) wait(what string, try func(ctx context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := lab.WaitFor(ctx, what, try); err != nil {
		p.t.Fatal(err)
	}
}

// whole waits until every node is attached, level and proven, by the lab's own
// look and by a pass of the controller that began after the given time.
func (p *pool) whole(what string, after time.Time) {
	p.t.Helper()
	p.wait(what+": full redundancy", func(ctx context.Context) error {
		st, err := p.ctl.Status(ctx)
		if err != nil {
			return err
		}
		if !st.Snapshot.Taken.After(after) {
			return errors.New("the controller has not looked yet")
		}
		for _, d := range st.Decisions {
			if d.Severity != plan.OK {
				return fmt.Errorf("node %d: %s: %s", d.Node, d.Code, d.Reason)
			}
		}
		if len(st.Decisions) == 0 {
			return errors.New("no decisions yet")
		}
		return lab.Healthy(p.Lab.Status(ctx))
	})
}

// code waits until the controller's decision for node has one of these codes.
func (p *pool) code(node int, codes ...plan.Code) plan.Decision {
	p.t.Helper()
	var got plan.Decision
	p.wait(fmt.Sprintf("node %d to get code %v", node, codes), func(ctx context.Context) error {
		st, err := p.ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, d := range st.Decisions {
			if int(d.Node) != node {
				continue
			}
			got = d
			for _, c := range codes {
				if d.Code == c {
					return nil
				}
			}
		}
		return fmt.Errorf("it has %s: %s", got.Code, got.Reason)
	})
	return got
}

// runs are the ended runs of a node since a time, oldest first.
func (p *pool) runs(node int, since time.Time) []topology.RunState {
	p.t.Helper()
	id := topology.NodeID(node)
	events, err := p.ctl.History(p.ctx, history.Filter{Node: &id, Kind: "run", Since: since.Truncate(time.Second), Limit: 500})
	p.must(err)
	var out []topology.RunState
	for _, e := range events {
		var r topology.RunState
		if e.At.Before(since) || json.Unmarshal(e.Data, &r) != nil || !r.Outcome.Ended() || r.Outcome == "" {
			continue
		}
		out = append(out, r)
	}
	return out
}

// healedBy asserts the method of the newest good run of a node.
func (p *pool) healedBy(node int, since time.Time, want topology.Method) topology.RunState {
	p.t.Helper()
	runs := p.runs(node, since)
	for i := len(runs) - 1; i >= 0; i-- {
		if runs[i].Outcome == topology.RunDone {
			if runs[i].Method != want {
				p.t.Errorf("node %d was healed by %s, want %s", node, runs[i].Method, want)
			}
			return runs[i]
		}
	}
	p.t.Errorf("node %d has no run that ended well, want %s; runs: %+v", node, want, runs)
	return topology.RunState{}
}

// noRuns asserts that nothing was run on a node.
func (p *pool) noRuns(node int, since time.Time) {
	p.t.Helper()
	if r := p.runs(node, since); len(r) != 0 {
		p.t.Errorf("node %d was touched: %+v", node, r)
	}
}

// primary is the node that serves writes.
func (p *pool) primary() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	i, err := p.WaitPrimary(ctx)
	p.must(err)
	return i
}

// standbys are the other nodes, lowest first.
func (p *pool) standbys() []int {
	p.t.Helper()
	pr := p.primary()
	var out []int
	for i := range p.Nodes {
		if i != pr {
			out = append(out, i)
		}
	}
	return out
}

// equal asserts that all copies hold the same rows.
func (p *pool) equal() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	c, err := p.CompareCopies(ctx)
	p.must(err)
	if !c.Match {
		p.t.Errorf("the copies differ: %+v", c)
	}
}

// hold and release are the operator's words.
func (p *pool) hold(node int) {
	p.t.Helper()
	p.must(p.ctl.Hold(p.ctx, control.HoldRequest{Node: topology.NodeID(node), Who: "test", Why: p.t.Name()}))
}

func (p *pool) release(node int) {
	p.t.Helper()
	p.must(p.ctl.Release(p.ctx, topology.NodeID(node), "test"))
}

// dump prints what a person would look at after a failed test.
func (p *pool) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if out, err := p.Repool(ctx, "status", "--config", p.RepoolConf()); err == nil {
		p.t.Logf("status:\n%s", out)
	}
	if out, err := p.Repool(ctx, "history", "--config", p.RepoolConf(), "--limit", "200"); err == nil {
		p.t.Logf("history:\n%s", out)
	}
	logs := []string{p.ControllerLog(0)}
	for _, pg := range p.Pgpools {
		logs = append(logs, pg.LogFile)
	}
	for _, log := range logs {
		if b, err := os.ReadFile(log); err == nil {
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), chatter)
			if len(lines) > 200 {
				lines = lines[len(lines)-200:]
			}
			p.t.Logf("%s:\n%s", log, strings.Join(lines, "\n"))
		}
	}
}

// chatter is what Pgpool-II logs of each PCP request and of its own processes.
func chatter(line string) bool {
	for _, c := range []string{"status_changed_time", "forked new pcp worker", "PCP process with pid", "watchdog is not enabled",
		"informing watchdog info", "child process with pid", "fork a new child", "CONTEXT:  while"} {
		if strings.Contains(line, c) {
			return true
		}
	}
	return false
}

// anyContext keeps the conditions of wait short to write.
type anyContext = context.Context

// passes says whether the controller has published n snapshots since a time.
func (p *pool) passes(since time.Time, n uint64) error {
	st, err := p.ctl.Status(p.ctx)
	if err != nil {
		return err
	}
	p.passMu.Lock()
	defer p.passMu.Unlock()
	if p.passSince != since {
		p.passSince, p.passFrom = since, st.Pass
	}
	if st.Pass < p.passFrom+n {
		return fmt.Errorf("%d passes so far", st.Pass-p.passFrom)
	}
	return nil
}

// poolNode is what Pgpool-II says of a node, as the controller last saw it.
func (p *pool) poolNode(node int) (topology.PoolNode, error) {
	st, err := p.ctl.Status(p.ctx)
	if err != nil {
		return topology.PoolNode{}, err
	}
	for i := range st.Snapshot.Pools {
		if n := st.Snapshot.Pools[i].Node(topology.NodeID(node)); n != nil {
			return *n, nil
		}
	}
	return topology.PoolNode{}, fmt.Errorf("Pgpool-II's view has no node %d", node)
}

// detachedStill is an error when Pgpool-II routes to the node.
func (p *pool) detachedStill(node int) error {
	for _, s := range p.Lab.Status(p.ctx) {
		if s.ID == node && s.Attached {
			return fmt.Errorf("node %d is attached", node)
		}
	}
	return nil
}

// happened is an error until the history has an event of that kind and code.
func (p *pool) happened(ctx context.Context, node int, since time.Time, kind string, code plan.Code) error {
	id := topology.NodeID(node)
	events, err := p.ctl.History(ctx, history.Filter{Node: &id, Kind: kind, Since: since.Truncate(time.Second), Limit: 500})
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Code == string(code) && !e.At.Before(since) {
			return nil
		}
	}
	return fmt.Errorf("no %s of node %d under code %s yet", kind, node, code)
}
