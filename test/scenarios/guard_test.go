package scenarios

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/proof"
	"github.com/repool/repool/internal/topology"
)

// guard looks at the pool all the while, and ends with the test: no node may be
// attached that is a primary beside the newest one, and none under watch may
// accept writes at all.
type guard struct {
	*proof.Guard
	p     *pool
	ended sync.Once
}

// guarded starts a guard; its findings fail the test.
func (p *pool) guarded() *guard {
	g := &guard{Guard: proof.Watch(p.Lab, proof.GuardOptions{}), p: p}
	p.t.Cleanup(g.end)
	return g
}

// end stops the looking and reports what was seen; a second call does nothing.
func (g *guard) end() {
	g.ended.Do(func() {
		r := g.Stop()
		for _, v := range r.Violations {
			g.p.t.Error(v)
		}
		if r.Samples == 0 {
			g.p.t.Error("the guard has never looked")
		}
	})
}

// caught is Catch with the test's patience.
func (p *pool) caught(wrote int64, words ...string) (resume func()) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	resume, err := p.Catch(ctx, wrote, words...)
	p.must(err)
	return resume
}

// copying is more than pg_rewind says before it overwrites its first byte.
const copying = 64 << 10

// rewindOf and backupOf tell a node's programs from all others.
func (p *pool) rewindOf(node int) []string {
	return []string{"pg_rewind", "--target-pgdata=" + p.workshop(node)}
}

func (p *pool) backupOf(node int) []string {
	return []string{"pg_basebackup", "--pgdata=" + p.workshop(node)}
}

func (p *pool) workshop(node int) string { return p.Nodes[node].Workshop() }

// there says whether a PostgreSQL directory is at the path.
func there(path string) bool {
	_, err := os.Stat(filepath.Join(path, "PG_VERSION"))
	return err == nil
}

// detached waits until Pgpool-II does not route to the node.
func (p *pool) detached(node int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	p.must(p.WaitDetached(ctx, node))
}

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

// journal is what the node's own journal says of the runs begun since a time,
// oldest first.
func (p *pool) journal(node int, since time.Time) []topology.RunState {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.workshop(node), "journal", "*.json"))
	p.must(err)
	var out []topology.RunState
	for _, path := range files {
		b, err := os.ReadFile(path)
		p.must(err)
		var rec struct {
			Run topology.RunState `json:"run"`
		}
		p.must(json.Unmarshal(b, &rec))
		if rec.Run.Started.After(since) {
			out = append(out, rec.Run)
		}
	}
	slices.SortFunc(out, func(a, b topology.RunState) int { return a.Started.Compare(b.Started) })
	return out
}
