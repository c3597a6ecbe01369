package scenarios

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S14: Pgpool-II's candidate is the lowest node that is left, whatever it has
// received. The standby with the most WAL is promoted instead, and nothing
// that any standby had is lost.
func TestS14MostAdvancedStandbyIsPromoted(t *testing.T) {
	p := up(t, lab.Options{})
	old := p.Primary()
	candidate, ahead := p.Standbys()[0], p.Standbys()[1]
	p.freezeSenderTo(candidate)
	rows, err := p.CommitRows(p.Ctx, old, 10)
	p.Must(err)
	p.Wait("the other standby to have the rows", func(ctx anyContext) error {
		missing, err := p.Missing(ctx, ahead, rows)
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("%d rows are missing", len(missing))
		}
		return err
	})
	if missing, err := p.Missing(p.Ctx, candidate, rows); err != nil || len(missing) != len(rows) {
		t.Fatalf("the candidate was to have none of the rows, and lacks %d of %d: %v", len(missing), len(rows), err)
	}

	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	fresh, err := p.WaitNewPrimary(p.Ctx, old)
	p.Must(err)
	if fresh != ahead {
		t.Errorf("node %d was promoted, want node %d, which had the most WAL", fresh, ahead)
	}
	p.Whole("the most advanced promoted", since)
	p.HealedBy(candidate, since, topology.MethodFollow)
	p.HealedBy(old, since, topology.MethodAdopt)
	missing, err := p.Missing(p.Ctx, p.Primary(), rows)
	p.Must(err)
	if len(missing) != 0 {
		t.Errorf("%d of %d rows that a standby had are lost", len(missing), len(rows))
	}
	p.Equal()
}

// freezeSenderTo stops the primary's WAL sender to one standby: the standby
// gets nothing more, and knows nothing of it.
func (p *pool) freezeSenderTo(node int) {
	p.T.Helper()
	pid, err := p.Value(p.Ctx, p.Primary(), "SELECT pid FROM pg_stat_replication WHERE application_name = $1::text",
		p.Nodes[node].Name)
	p.Must(err)
	n, err := strconv.Atoi(pid)
	p.Must(err)
	p.Must(syscall.Kill(n, syscall.SIGSTOP))
}
