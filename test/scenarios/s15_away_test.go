package scenarios

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S15: a standby that was away for many WAL segments comes back by start: its
// slot has kept the WAL, and nothing else does, since wal_keep_size is 0
// (hazards 29 and 37).
func TestS15AwayForManySegments(t *testing.T) {
	p := up(t, lab.Options{WALKeepSize: "0", Settings: map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB"}})
	away := p.Standbys()[1]
	p.Hold(away)
	p.Must(p.KillNode(p.Ctx, away))
	p.Must(p.WaitDetached(p.Ctx, away))

	p.fillWAL(12)
	since := time.Now()
	p.Release(away)
	p.Whole("away for many segments", since)
	run := p.HealedBy(away, since, topology.MethodStart)
	if run.BytesDone != 0 {
		t.Errorf("%d bytes were copied", run.BytesDone)
	}
	p.Equal()
}

// fillWAL writes n segments of WAL on the primary, each with a row of its own,
// and lets a checkpoint remove what nobody needs.
func (p *pool) fillWAL(n int) {
	p.T.Helper()
	pr := p.Primary()
	for range n {
		_, err := p.CommitRows(p.Ctx, pr, 1)
		p.Must(err)
		p.Must(p.Exec(p.Ctx, pr, "SELECT pg_switch_wal()"))
	}
	for range 2 {
		p.Must(p.Exec(p.Ctx, pr, "CHECKPOINT"))
	}
}
