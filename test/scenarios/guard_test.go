package scenarios

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/repool/repool/lab/proof"
	"github.com/repool/repool/test/testpool"
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
	p.T.Cleanup(g.end)
	return g
}

// end stops the looking and reports what was seen; a second call does nothing.
func (g *guard) end() {
	g.ended.Do(func() {
		r := g.Stop()
		for _, v := range r.Violations {
			g.p.T.Error(v)
		}
		if r.Samples == 0 {
			g.p.T.Error("the guard has never looked")
		}
	})
}

// there says whether a PostgreSQL directory is at the path.
func there(path string) bool {
	_, err := os.Stat(filepath.Join(path, "PG_VERSION"))
	return err == nil
}

// detached waits until Pgpool-II does not route to the node.
func (p *pool) detached(node int) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, testpool.Patience)
	defer cancel()
	p.Must(p.WaitDetached(ctx, node))
}
