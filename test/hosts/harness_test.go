package hosts

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

// patience bounds one healing. It is far above what any takes on an idle machine.
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
}

// up builds a pool on hosts of its own, and takes it down with the test.
func up(t *testing.T, o lab.Options) *pool {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	o.Repool, o.Hooks, o.Controller, o.Hosts = bin, true, true, true
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
		if !st.Snapshot.Taken.After(after) || len(st.Decisions) == 0 {
			return errors.New("the controller has not looked yet")
		}
		for _, d := range st.Decisions {
			if d.Severity != plan.OK {
				return fmt.Errorf("node %d: %s: %s", d.Node, d.Code, d.Reason)
			}
		}
		return lab.Healthy(p.Lab.Status(ctx))
	})
}

// code waits until the controller's decision for node has that code.
func (p *pool) code(node int, want plan.Code) plan.Decision {
	p.t.Helper()
	var got plan.Decision
	p.wait(fmt.Sprintf("node %d to get code %s", node, want), func(ctx context.Context) error {
		st, err := p.ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, d := range st.Decisions {
			if int(d.Node) == node {
				if got = d; d.Code == want {
					return nil
				}
			}
		}
		return fmt.Errorf("it has %s: %s %v", got.Code, got.Reason, got.Evidence)
	})
	return got
}

// unasked waits until the node's agent could not be asked, for that reason. A node
// that streams stays healthy without its agent.
func (p *pool) unasked(node int, want string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("the agent of node %d to be missed", node), func(ctx context.Context) error {
		st, err := p.ctl.Status(ctx)
		if err != nil {
			return err
		}
		n := st.Snapshot.Node(topology.NodeID(node))
		if n == nil {
			return errors.New("the controller has not looked yet")
		}
		if n.Agent.Err == "" || n.Agent.ErrCode != want {
			return fmt.Errorf("code %q, error %q; want code %q", n.Agent.ErrCode, n.Agent.Err, want)
		}
		return nil
	})
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
		if e.At.Before(since) || json.Unmarshal(e.Data, &r) != nil || r.Outcome == "" || !r.Outcome.Ended() {
			continue
		}
		out = append(out, r)
	}
	return out
}

// healedBy asserts the method of the newest good run of a node.
func (p *pool) healedBy(node int, since time.Time, want topology.Method) {
	p.t.Helper()
	runs := p.runs(node, since)
	for _, r := range slices.Backward(runs) {
		if r.Outcome == topology.RunDone {
			if r.Method != want {
				p.t.Errorf("node %d was healed by %s, want %s", node, r.Method, want)
			}
			return
		}
	}
	p.t.Errorf("node %d has no run that ended well, want %s; runs: %+v", node, want, runs)
}

// primary is the node that serves writes, standby one that does not.
func (p *pool) primary() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	i, err := p.WaitPrimary(ctx)
	p.must(err)
	return i
}

func (p *pool) standby() int {
	p.t.Helper()
	pr := p.primary()
	for i := len(p.Nodes) - 1; i >= 0; i-- {
		if i != pr {
			return i
		}
	}
	p.t.Fatal("the pool has no standby")
	return 0
}

// newPrimary waits for another primary than old.
func (p *pool) newPrimary(old int) int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	i, err := p.WaitNewPrimary(ctx, old)
	p.must(err)
	return i
}

// equal asserts that all copies hold the same rows.
func (p *pool) equal() {
	p.t.Helper()
	c, err := p.CompareCopies(p.ctx)
	p.must(err)
	if !c.Match {
		p.t.Errorf("the copies differ: %+v", c)
	}
}

func (p *pool) workshop(node int) string { return p.Nodes[node].DataDir + ".repool" }

// vaulted asserts that reports in the node's vault list each of the rows.
func (p *pool) vaulted(node int, rows []lab.Row) {
	p.t.Helper()
	reports, err := filepath.Glob(filepath.Join(p.workshop(node), "vault", "*", "report.json"))
	p.must(err)
	saved := map[uint64]bool{}
	for _, path := range reports {
		b, err := os.ReadFile(path)
		p.must(err)
		var report struct {
			Commits []struct {
				XID uint64 `json:"xid"`
			} `json:"commits"`
		}
		p.must(json.Unmarshal(b, &report))
		for _, c := range report.Commits {
			saved[c.XID] = true
		}
	}
	missing := slices.DeleteFunc(slices.Clone(rows), func(r lab.Row) bool { return saved[r.XID] })
	if len(missing) > 0 {
		p.t.Errorf("%d of %d lost rows are in none of the %d vault entries of node %d, the first: %+v", len(missing), len(rows), len(reports), node, missing[0])
	}
}

// attached says whether Pgpool-II routes to the node, as an error if it does not.
func (p *pool) attached(ctx context.Context, node int) error {
	for _, s := range p.Lab.Status(ctx) {
		if s.ID == node && !s.Attached {
			return fmt.Errorf("node %d is %s", node, s.Pool)
		}
	}
	return nil
}

// hooks is what the failover hook has written down.
func (p *pool) hooks() string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, "controller", "hooks.log"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return string(b)
}

// dump prints what a person would look at after a failed test.
func (p *pool) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, what := range [][]string{{"status"}, {"plan"}, {"history", "--limit", "100"}} {
		out, err := p.Repool(ctx, what...)
		p.t.Logf("%s: %v\n%s", what[0], err, out)
	}
	logs := []string{p.ControllerLog(0), p.Pgpools[0].LogFile}
	for _, n := range p.Nodes {
		logs = append(logs, p.AgentLog(n.ID))
	}
	for _, log := range logs {
		if b, err := os.ReadFile(log); err == nil {
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), func(l string) bool {
				return strings.Contains(l, "msg=pass ") || strings.Contains(l, "pcp") || strings.Contains(l, "PCP") || strings.Contains(l, "status_changed_time") || strings.Contains(l, "watchdog is not") || strings.Contains(l, "child process") || strings.Contains(l, "CONTEXT")
			})
			p.t.Logf("%s:\n%s", log, strings.Join(lines[max(0, len(lines)-80):], "\n"))
		}
	}
	p.t.Logf("hooks:\n%s", p.hooks())
}
