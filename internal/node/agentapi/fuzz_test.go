package agentapi

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/repool/repool/internal/core/topology"
	pb "github.com/repool/repool/internal/node/agentapi/agentv1"
)

// wireTypes are the messages with a type of topology behind them.
var wireTypes = []struct {
	msg func() proto.Message
	of  func() any
}{
	{func() proto.Message { return &pb.Inspection{} }, func() any { return &topology.Inspection{} }},
	{func() proto.Message { return &pb.WALProbe{} }, func() any { return &topology.WALProbe{} }},
	{func() proto.Message { return &pb.RunRequest{} }, func() any { return &topology.RunRequest{} }},
	{func() proto.Message { return &pb.RunState{} }, func() any { return &topology.RunState{} }},
	{func() proto.Message { return &pb.VaultEntry{} }, func() any { return &topology.VaultEntry{} }},
	{func() proto.Message { return &pb.Fenced{} }, func() any { return &topology.Fenced{} }},
}

// FuzzFromWire is a peer that sends any message: it is refused, or what it says
// goes back to the wire and comes again as it was.
func FuzzFromWire(f *testing.F) {
	for i, v := range []any{
		topology.Inspection{Source: topology.Source{At: time.Unix(1700000000, 0)}, Dir: topology.DirPresent, Control: &topology.Control{SystemID: 7, CheckpointLSN: 0x5000060},
			History: topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x5000000}}}, HotStandby: map[string]int{"max_connections": 100}, Odd: []string{"a"}},
		topology.WALProbe{CommonTLI: 1, Limit: 0x5000000, Last: &topology.WALRecord{Start: 1, End: 2, CRC: 3}},
		topology.RunRequest{ID: "r", Node: 1, Method: topology.MethodRewind, Token: 3},
		topology.RunState{ID: "r", Outcome: topology.RunFailed, Steps: []topology.StepRun{{Name: "stop"}}},
		topology.VaultEntry{ID: "v", Commits: 3, Relations: map[string]int{"t": 2}},
		topology.Fenced{WasRunning: true, Took: time.Second},
	} {
		m := wireTypes[i].msg()
		if err := toWire(v, m); err != nil {
			f.Fatal(err)
		}
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		kind := wireTypes[int(which)%len(wireTypes)]
		m, v := kind.msg(), kind.of()
		if proto.Unmarshal(raw, m) != nil || fromWire(m, v) != nil {
			return
		}
		back := kind.msg()
		if err := toWire(reflect.ValueOf(v).Elem().Interface(), back); err != nil {
			t.Fatalf("%+v came in and does not go out: %v", v, err)
		}
		again := kind.of()
		if err := fromWire(back, again); err != nil {
			t.Fatalf("%+v went out and does not come in: %v", v, err)
		}
		if d := cmp.Diff(v, again, cmpopts.EquateEmpty(), sameHistory); d != "" {
			t.Errorf("not the same the second time (-first +second):\n%s", d)
		}
	})
}
