package agentapi

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/repool/repool/internal/core/topology"
	pb "github.com/repool/repool/internal/node/agentapi/agentv1"
)

// TestEveryFieldTravels fills each type at random and sends it to the wire and
// back: a field that topology gains and the schema lacks fails here.
func TestEveryFieldTravels(t *testing.T) {
	t.Parallel()
	trip(t, "Inspection", func() proto.Message { return &pb.Inspection{} }, topology.Inspection{})
	trip(t, "WALProbe", func() proto.Message { return &pb.WALProbe{} }, topology.WALProbe{})
	trip(t, "WALRecord", func() proto.Message { return &pb.WALRecord{} }, topology.WALRecord{})
	trip(t, "RunRequest", func() proto.Message { return &pb.RunRequest{} }, topology.RunRequest{})
	trip(t, "RunState", func() proto.Message { return &pb.RunState{} }, topology.RunState{})
	trip(t, "VaultEntry", func() proto.Message { return &pb.VaultEntry{} }, topology.VaultEntry{})
	trip(t, "Fenced", func() proto.Message { return &pb.Fenced{} }, topology.Fenced{})
}

func trip[T any](t *testing.T, name string, msg func() proto.Message, _ T) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			var in, out T
			fill(rt, reflect.ValueOf(&in).Elem(), 0)
			m := msg()
			if err := toWire(in, m); err != nil {
				rt.Fatal(err)
			}
			raw, err := proto.Marshal(m)
			if err != nil {
				rt.Fatal(err)
			}
			back := msg()
			if err := proto.Unmarshal(raw, back); err != nil {
				rt.Fatal(err)
			}
			if err := fromWire(back, &out); err != nil {
				rt.Fatal(err)
			}
			if d := cmp.Diff(in, out, cmpopts.EquateEmpty(), sameHistory); d != "" {
				rt.Fatalf("lost on the wire (-sent +got):\n%s", d)
			}
		})
	})
}

// sameHistory stands in for History.Equal, to which an unknown history equals none.
var sameHistory = cmp.Comparer(func(a, b topology.History) bool {
	return a.TLI == b.TLI && slices.Equal(a.Ancestors, b.Ancestors)
})

// fill sets every field of v to a drawn value, zero now and then.
func fill(t *rapid.T, v reflect.Value, depth int) {
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "s"), 0).UTC()))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth+1)
		}
	case v.Kind() == reflect.Pointer:
		if depth < 8 && rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth+1)
		}
	case v.Kind() == reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, "n")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i), depth+1)
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(t, e, depth+1)
			v.SetMapIndex(reflect.ValueOf(rapid.String().Draw(t, "k")), e)
		}
	case v.Kind() == reflect.String:
		v.SetString(rapid.String().Draw(t, "text"))
	case v.Kind() == reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "b"))
	case v.CanInt():
		v.SetInt(rapid.Int64Range(-1<<31, 1<<31-1).Draw(t, "i"))
	case v.CanUint():
		v.SetUint(rapid.Uint64Range(0, 1<<32-1).Draw(t, "u"))
	default:
		t.Fatalf("no way to fill a %s", v.Type())
	}
}
