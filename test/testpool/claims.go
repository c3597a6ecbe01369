package testpool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/lab"
)

// Healthy says what is missing, by the lab's own look and by a pass of the
// controller that began after the given time, for every node to be attached,
// level and proven; nil when nothing is.
func Healthy(ctx context.Context, l *lab.Lab, ctl *control.Client, after time.Time) error {
	st, err := ctl.Status(ctx)
	if err != nil {
		return err
	}
	if !st.Snapshot.Taken.After(after) || len(st.Decisions) == 0 {
		return errors.New("the controller has not looked yet")
	}
	for _, d := range st.Decisions {
		if d.Severity != codes.OK {
			return fmt.Errorf("node %d: %s: %s", d.Node, d.Code, d.Reason)
		}
	}
	return lab.Healthy(l.Status(ctx))
}

// Whole waits until the pool is Healthy.
func (p *Pool) Whole(what string, after time.Time) {
	p.T.Helper()
	p.Wait(what+": full redundancy", func(ctx context.Context) error {
		return Healthy(ctx, p.Lab, p.Ctl, after)
	})
}

// Code waits until the controller's decision for a node has one of these codes.
func (p *Pool) Code(node int, codes ...codes.Code) plan.Decision {
	p.T.Helper()
	var got plan.Decision
	p.Wait(fmt.Sprintf("node %d to get code %v", node, codes), func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, d := range st.Decisions {
			if int(d.Node) == node {
				if got = d; slices.Contains(codes, d.Code) {
					return nil
				}
			}
		}
		return fmt.Errorf("it has %s: %s %v", got.Code, got.Reason, got.Evidence)
	})
	return got
}

// Runs are the ended runs of a node that began after a time, oldest first. A run that began before and ended after it
// is not among them: it was already under way.
func (p *Pool) Runs(node int, since time.Time) []topology.RunState {
	p.T.Helper()
	id := topology.NodeID(node)
	events, err := p.Ctl.History(p.Ctx, event.Filter{Node: &id, Kind: "run", Since: since.Truncate(time.Second),
		Limit: 500})
	p.Must(err)
	var out []topology.RunState
	for _, e := range events {
		var r topology.RunState
		if json.Unmarshal(e.Data, &r) == nil && r.Started.After(since) && r.Outcome.Ended() {
			out = append(out, r)
		}
	}
	return out
}

// HealedBy claims the method of the newest good run of a node since a time, and
// waits for it: a node can be whole a moment before its run is in the history.
func (p *Pool) HealedBy(node int, since time.Time, want topology.Method) topology.RunState {
	p.T.Helper()
	var healed topology.RunState
	p.Wait(fmt.Sprintf("a run of node %d that ended well, by %s", node, want), func(context.Context) error {
		runs := p.Runs(node, since)
		for _, r := range slices.Backward(runs) {
			if r.Outcome == topology.RunDone {
				healed = r
				return nil
			}
		}
		return fmt.Errorf("its runs: %+v", runs)
	})
	if healed.Method != want {
		p.T.Errorf("node %d was healed by %s, want %s; its runs: %+v", node, healed.Method, want, p.Runs(node, since))
	}
	return healed
}

// Journal is what the node's own journal says of the runs begun since a time,
// oldest first.
func (p *Pool) Journal(node int, since time.Time) []topology.RunState {
	p.T.Helper()
	files, err := filepath.Glob(filepath.Join(p.WorkDir(node), "journal", "*.json"))
	p.Must(err)
	var out []topology.RunState
	for _, path := range files {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // old records go as new ones come
		}
		p.Must(err)
		var rec struct {
			Run topology.RunState `json:"run"`
		}
		p.Must(json.Unmarshal(b, &rec))
		if rec.Run.Started.After(since) {
			out = append(out, rec.Run)
		}
	}
	slices.SortFunc(out, func(a, b topology.RunState) int { return a.Started.Compare(b.Started) })
	return out
}

// NoRuns claims, by the node's own journal, that no run began on it after a time.
func (p *Pool) NoRuns(node int, since time.Time) {
	p.T.Helper()
	if r := p.Journal(node, since); len(r) != 0 {
		p.T.Errorf("node %d was touched: %+v", node, r)
	}
}

// Equal claims that all copies hold the same rows.
func (p *Pool) Equal() {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, Patience)
	defer cancel()
	c, err := p.CompareCopies(ctx)
	p.Must(err)
	if !c.Match {
		p.T.Errorf("the copies differ: %+v", c)
	}
}

// Vaulted claims that reports in the node's vault list each of the rows.
func (p *Pool) Vaulted(node int, rows []lab.Row) {
	p.T.Helper()
	reports, err := filepath.Glob(filepath.Join(p.WorkDir(node), "vault", "*", "report.json"))
	p.Must(err)
	saved := map[uint64]bool{}
	for _, path := range reports {
		b, err := os.ReadFile(path)
		p.Must(err)
		var report struct {
			Commits []struct {
				XID uint64 `json:"xid"`
			} `json:"commits"`
		}
		p.Must(json.Unmarshal(b, &report))
		for _, c := range report.Commits {
			saved[c.XID] = true
		}
	}
	missing := slices.DeleteFunc(slices.Clone(rows), func(r lab.Row) bool { return saved[r.XID] })
	if len(missing) > 0 {
		p.T.Errorf("%d of %d lost rows are in none of the %d vault entries of node %d, the first: %+v", len(missing),
			len(rows), len(reports), node, missing[0])
	}
}
