package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
)

// bulk makes the pool bigger by so many MiB, spread over all tables' blocks, and
// waits until the standbys have them.
func (p *pool) bulk(mib int) error {
	pr := p.Primary()
	err := p.With(p.Ctx, pr, "app", func(c *pgx.Conn) error {
		_, err := c.Exec(p.Ctx, fmt.Sprintf("CREATE TABLE app.bulk AS SELECT i, repeat(md5(i::text), 30) AS filler FROM "+
			"generate_series(1, %d) i", mib*1024))
		return err
	})
	if err != nil {
		return err
	}
	_, err = p.WaitReplayed(p.Ctx, pr)
	return err
}

// keptInRepair asserts that what a base backup is to replace is still whole, in the
// work directory or in its place.
func (p *pool) keptInRepair(node int) {
	p.T.Helper()
	for _, dir := range []string{p.Nodes[node].DataDir, filepath.Join(p.WorkDir(node), "repair"),
		filepath.Join(p.WorkDir(node), "old")} {
		if _, err := os.Stat(filepath.Join(dir, "global", "pg_control")); err == nil {
			return
		}
	}
	p.T.Errorf("node %d: the old data directory is gone while the new one is not there", node)
}

// neverPrimary watches a node that is cut off, until its run there has come to an
// end or has gone on for a while without one: it must not accept writes.
func (p *pool) neverPrimary(node int) {
	p.T.Helper()
	until := time.Now().Add(10 * time.Second)
	p.Wait("the run on the cut-off host", func(ctx context.Context) error {
		for _, s := range p.Lab.Status(ctx) {
			if s.ID == node && s.Primary {
				p.T.Errorf("node %d accepts writes in the middle of its resync", node)
			}
		}
		if p.ended(node) || time.Now().After(until) {
			return nil
		}
		return errors.New("it goes on")
	})
}

// ended says whether the newest run in the node's own journal has ended.
func (p *pool) ended(node int) bool {
	p.T.Helper()
	runs := p.Journal(node, time.Time{})
	return len(runs) > 0 && !runs[len(runs)-1].Ended.IsZero()
}

// ownRuns are the outcomes of the runs in the node's own journal since a time.
func (p *pool) ownRuns(node int, since time.Time) (out []topology.Outcome) {
	p.T.Helper()
	for _, r := range p.Journal(node, since) {
		out = append(out, r.Outcome)
	}
	return out
}
