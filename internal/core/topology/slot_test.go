package topology

import "testing"

func TestSlotNames(t *testing.T) {
	t.Parallel()
	for _, id := range []NodeID{0, 1, 7, 127} {
		if got, ok := SlotNode(SlotName(id)); got != id || !ok {
			t.Errorf("slot %s is that of node %s, %v", SlotName(id), got, ok)
		}
	}
	for _, name := range []string{"", "repool_node", "repool_node-1", "repool_node+1", "repool_node01", "repool_node1x",
		"repool_node1_copy", "Repool_node1", "my_repool_node1", "repool_node99999999999"} {
		if id, ok := SlotNode(name); ok {
			t.Errorf("%q passes for the slot of node %s", name, id)
		}
	}
}
