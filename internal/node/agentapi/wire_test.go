package agentapi

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/repool/repool/internal/core/topology"
)

// wireType is a type that goes over the wire.
type wireType struct {
	name string
	of   func() any // a pointer to a zero value
}

// message is what a test knows of a call: its name and both its types.
func message[Req, Res any](c call[Req, Res]) []wireType {
	return []wireType{
		{string(c) + " request", func() any { return new(Req) }},
		{string(c) + " response", func() any { return new(Res) }},
	}
}

// wireTypes are the requests and responses of all calls.
func wireTypes() []wireType {
	var all []wireType
	for _, m := range [][]wireType{
		message(callInspect), message(callProbeWAL), message(callRecordEnding), message(callRun), message(callVault),
		message(callVaultReport), message(callAcquire), message(callStartRun), message(callWatch), message(callClear),
		message(callCancel), message(callFence), message(callInstructions), message(callInstruct),
	} {
		all = append(all, m...)
	}
	return all
}

// decode reads data as a peer's message of w: requests strictly.
func (w wireType) decode(data []byte) (any, error) {
	v := w.of()
	err := codec{strict: strings.HasSuffix(w.name, "request")}.Unmarshal(data, v)
	return v, err
}

func encode(t interface{ Fatalf(string, ...any) }, v any) []byte {
	data, err := codec{}.Marshal(v)
	if err != nil {
		t.Fatalf("%+v cannot be sent: %v", v, err)
	}
	return data
}

// difference compares every field, also those that an Equal method overlooks.
// A time must be the same instant with the same offset from UTC.
func difference(a, b any) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(),
		cmp.Transformer("history", func(h topology.History) any {
			return struct {
				TLI       topology.TimelineID
				Ancestors []topology.HistoryEntry
			}{h.TLI, h.Ancestors}
		}),
		cmp.Transformer("time", func(t time.Time) string { return t.Format(time.RFC3339Nano) }))
}

// TestRoundTrip sends each type with drawn contents: nothing is lost, and the
// second trip is the first, byte for byte.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, w := range wireTypes() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				sent := w.of()
				fill(rt, reflect.ValueOf(sent).Elem())
				data := encode(rt, sent)
				got, err := w.decode(data)
				if err != nil {
					rt.Fatalf("%s: %v", data, err)
				}
				if d := difference(sent, got); d != "" {
					rt.Fatalf("lost on the wire (-sent +got):\n%s", d)
				}
				if again := encode(rt, got); string(again) != string(data) {
					rt.Fatalf("sent again it is\n%s, it was\n%s", again, data)
				}
			})
		})
	}
}

// TestZeroAndNil: the zero value of each type comes back as the zero value,
// with nil pointers, slices and maps still nil.
func TestZeroAndNil(t *testing.T) {
	t.Parallel()
	for _, w := range wireTypes() {
		got, err := w.decode(encode(t, w.of()))
		if err != nil || !reflect.DeepEqual(got, w.of()) {
			t.Errorf("%s: %+v, %v", w.name, got, err)
		}
	}
}

// TestValuesAtTheirLimits are those that JSON is known to lose elsewhere.
func TestValuesAtTheirLimits(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 29, 2, 59, 59, 999_999_999, time.FixedZone("", -(3*3600+30*60)))
	sent := topology.Inspection{
		Source: topology.Source{At: at},
		Control: &topology.Control{
			SystemID: math.MaxUint64, CheckpointLSN: math.MaxUint64, RedoLSN: 1<<53 + 1, SegmentSize: 1<<53 + 1,
		},
		History:   topology.History{TLI: math.MaxUint32},
		DataBytes: math.MaxUint64, WALBytes: 1<<63 + 1,
		Run: &topology.RunState{Node: topology.NoNode, Token: math.MaxUint64},
	}
	var got topology.Inspection
	if err := (codec{}).Unmarshal(encode(t, sent), &got); err != nil {
		t.Fatal(err)
	}
	if d := difference(sent, got); d != "" {
		t.Errorf("lost on the wire (-sent +got):\n%s", d)
	}
	// PostgreSQL's messages and file names may hold any bytes.
	var text topology.Source
	err := codec{}.Unmarshal(encode(t, topology.Source{Err: "caf\xe9 \x00 \u2028"}), &text)
	if err != nil || text.Err != "caf\uFFFD \x00 \u2028" {
		t.Errorf("%q, %v", text.Err, err)
	}
	var report reportResponse
	if err := (codec{}).Unmarshal(encode(t, reportResponse{[]byte(" {\n\xff\x00 }\n")}), &report); err != nil ||
		string(report.Report) != " {\n\xff\x00 }\n" {
		t.Errorf("%q, %v", report.Report, err)
	}
}

// TestUnknownFields: a newer agent may say more, a newer caller may not ask for
// more than the agent understands.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	for _, w := range wireTypes() {
		var fields map[string]any
		if err := json.Unmarshal(encode(t, w.of()), &fields); err != nil {
			t.Fatal(err)
		}
		fields["of_the_next_release"] = []any{1, "two", nil}
		data := encode(t, fields)
		got, err := w.decode(data)
		switch {
		case strings.HasSuffix(w.name, "request") && (err == nil || !strings.Contains(err.Error(), "of_the_next_release")):
			t.Errorf("%s: %v, want it refused", w.name, err)
		case strings.HasSuffix(w.name, "response") && (err != nil || !reflect.DeepEqual(got, w.of())):
			t.Errorf("%s: %+v, %v", w.name, got, err)
		}
	}
}

// fill sets every field of v to a drawn value, zero now and then.
func fill(t *rapid.T, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		at := time.Unix(rapid.Int64Range(-1<<33, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		zone := time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "zone"))
		v.Set(reflect.ValueOf(at.In(zone)))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case v.Kind() == reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case v.Kind() == reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, "n")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i))
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(t, e)
			v.SetMapIndex(reflect.ValueOf(rapid.String().Draw(t, "k")), e)
		}
	case v.Kind() == reflect.String:
		v.SetString(rapid.String().Draw(t, "text"))
	case v.Kind() == reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "b"))
	case v.CanInt():
		v.SetInt(rapid.Int64().Draw(t, "i"))
	case v.Kind() == reflect.Uint8, v.Kind() == reflect.Uint32:
		v.SetUint(rapid.Uint64Range(0, 1<<v.Type().Bits()-1).Draw(t, "u"))
	case v.CanUint():
		v.SetUint(rapid.Uint64().Draw(t, "u"))
	default:
		t.Fatalf("no way to fill a %s", v.Type())
	}
}

var update = flag.Bool("update", false, "write testdata/wire.txt")

// TestWireNames compares the names and kinds of all fields on the wire with
// testdata/wire.txt. A peer one release apart reads the file of its own time: a
// field that is renamed or removed is lost for it, and one that is added to a
// request must be omitted while it is zero.
func TestWireNames(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, w := range wireTypes() {
		fmt.Fprintf(&b, "%s\n", w.name)
		names(&b, reflect.TypeOf(w.of()).Elem(), "\t")
	}
	file := filepath.Join("testdata", "wire.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("the wire has changed; see docs/decisions/0015-agent-contract-in-json.md, then run with -update:\n%s", d)
	}
}

// names writes the fields of struct type t as JSON has them.
func names(b *strings.Builder, t reflect.Type, indent string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			names(b, f.Type, indent)
			continue
		}
		of := f.Type
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		b.WriteString(strings.TrimRight(indent+name+" "+f.Type.String()+" "+option, " ") + "\n")
		if of.Kind() == reflect.Struct && of != reflect.TypeFor[time.Time]() {
			names(b, of, indent+"\t")
		}
	}
}
