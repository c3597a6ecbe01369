package scenarios

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// S15: a standby that was away for many WAL segments comes back by start: its
// slot has kept the WAL, and nothing else does, since wal_keep_size is 0
// (hazards 29 and 37).
func TestS15AwayForManySegments(t *testing.T) {
	p := up(t, lab.Options{WALKeepSize: "0", Settings: map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB"}})
	away := p.standbys()[1]
	p.hold(away)
	p.must(p.KillNode(p.ctx, away))
	p.must(p.WaitDetached(p.ctx, away))

	p.fillWAL(12)
	since := time.Now()
	p.release(away)
	p.whole("away for many segments", since)
	run := p.healedBy(away, since, topology.MethodStart)
	if run.BytesDone != 0 {
		t.Errorf("%d bytes were copied", run.BytesDone)
	}
	p.equal()
}

// fillWAL writes n segments of WAL on the primary, each with a row of its own,
// and lets a checkpoint remove what nobody needs.
func (p *pool) fillWAL(n int) {
	p.t.Helper()
	pr := p.primary()
	for range n {
		_, err := p.CommitRows(p.ctx, pr, 1)
		p.must(err)
		p.must(p.Exec(p.ctx, pr, "SELECT pg_switch_wal()"))
	}
	for range 2 {
		p.must(p.Exec(p.ctx, pr, "CHECKPOINT"))
	}
}
