package dbhost

import (
	"slices"
	"testing"
)

// Hazard 67: a former primary that was adopted keeps the slots through which its standbys have streamed. Only idle
// physical ones are dropped, and only on a standby that streams.
func TestIdleSlotsOfAnAdoptedPrimaryAreDropped(t *testing.T) {
	t.Parallel()
	old, standby := pair(t, setup{})
	old.exec("CREATE TABLE t (n int)", "SELECT pg_create_physical_replication_slot('repool_node2', true)",
		"SELECT pg_create_physical_replication_slot('repool_node9')",
		"SELECT pg_create_physical_replication_slot('barman', true)")
	standby.caughtUp(old)
	all := []string{"repool_node0", "repool_node1", "repool_node2", "repool_node9", "repool_node77"}
	drop := func(n *node, want ...string) {
		t.Helper()
		got, err := n.DropSlots(t.Context(), all)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("dropped %q, %v, want %q", got, err, want)
		}
	}
	drop(old) // a primary's stay
	old.crash()
	standby.promote(false)
	old.standbyOf(standby)
	old.start()
	old.waitStreaming(standby)
	old.caughtUp(standby)
	drop(standby)
	drop(old, "repool_node0", "repool_node1", "repool_node2", "repool_node9")
	drop(old)
	const slots = "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots"
	if got := old.query(slots); got != "barman" {
		t.Errorf("the standby has the slots %s", got)
	}
	if got := standby.query(slots); got != "repool_node0" {
		t.Errorf("the primary has the slots %s", got)
	}
}
