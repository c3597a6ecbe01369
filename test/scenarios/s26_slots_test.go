package scenarios

import (
	"context"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/proof"
)

// S26: a killed primary that has lost nothing is adopted. The slots through which its standbys streamed, and one of a
// node that has left the pool, do not stay on it: they would keep its WAL and hold back VACUUM on the new primary
// (hazard 67). Somebody else's slot stays.
func TestS26SlotsOfAnAdoptedPrimary(t *testing.T) {
	p := up(t, lab.Options{Settings: map[string]string{"hot_standby_feedback": "on",
		"wal_receiver_status_interval": "1s"}})
	old := p.Primary()
	for _, name := range []string{"repool_node9", "somebody_elses"} {
		p.Must(p.Exec(t.Context(), old, "SELECT pg_create_physical_replication_slot($1, true)", name))
	}
	const list = `SELECT string_agg(slot_name || CASE WHEN active THEN ' (in use)' ELSE '' END, ', ' ORDER BY slot_name)
		FROM pg_replication_slots`
	slotsOf := func(i int) string {
		text, err := p.Value(t.Context(), i, list)
		p.Must(err)
		return text
	}
	t.Logf("before: node %d has %s", old, slotsOf(old))
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	p.NewPrimary(old)
	p.Whole("the old primary healed", since)
	p.HealedBy(old, since, topology.MethodAdopt)
	p.Wait("nothing left", func(ctx context.Context) error { return proof.NothingLeft(ctx, p.Lab) })
	for i := range p.Nodes {
		t.Logf("after: node %d has %s", i, slotsOf(i))
	}
	if got := slotsOf(old); got != "somebody_elses" {
		t.Errorf("node %d, adopted, has the slots %s", old, got)
	}
}
