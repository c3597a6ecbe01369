package agentapi

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// FuzzFromWire is a peer that sends anything: the message is refused, or its
// contents can be sent on and arrive unchanged.
func FuzzFromWire(f *testing.F) {
	at := time.Date(2023, 11, 14, 22, 13, 20, 5, time.FixedZone("", 3600))
	examples := map[string]any{
		"Inspect response": topology.Inspection{Source: topology.Source{At: at}, Dir: topology.DirPresent,
			Control:    &topology.Control{SystemID: 1<<63 + 7, CheckpointLSN: 0x5000060},
			History:    topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x5000000}}},
			HotStandby: map[string]int{"max_connections": 100}, Odd: []string{"a"}},
		"ProbeWAL response": topology.WALProbe{CommonTLI: 1, Limit: 0x5000000,
			Last: &topology.WALRecord{Start: 1, End: 2, CRC: 3}},
		"StartRun request": topology.RunRequest{ID: "r", Node: 1, Method: topology.MethodRewind, Token: 3},
		"Watch response": topology.RunState{ID: "r", Outcome: topology.RunFailed,
			Steps: []topology.StepRun{{Name: "stop", Started: at}}},
		"Vault response": vaultResponse{[]topology.VaultEntry{{ID: "v", Commits: 3, Relations: map[string]int{"t": 2}}}},
		"Fence response": topology.Fenced{WasRunning: true, Took: time.Second},
	}
	types := wireTypes()
	for i, w := range types {
		example := examples[w.name]
		if example == nil {
			example = w.of()
		}
		f.Add(uint8(i), encode(f, example))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		w := types[int(which)%len(types)]
		first, err := w.decode(data)
		if err != nil {
			return
		}
		again := encode(t, first)
		second, err := w.decode(again)
		if err != nil {
			t.Fatalf("%s was accepted, sent on it is refused: %s: %v", data, again, err)
		}
		if d := difference(first, second); d != "" {
			t.Errorf("not the same the second time (-first +second):\n%s", d)
		}
	})
}
