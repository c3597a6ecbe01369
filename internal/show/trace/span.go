package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/repool/repool/internal/core/topology"
)

// IDOf is the trace id of a run, in hexadecimal.
func IDOf(run string) string { return hex.EncodeToString(traceID(run)) }

func traceID(run string) []byte {
	h := sha256.Sum256([]byte("repool run " + run))
	return h[:16]
}

// spanID is the id of a step's span; step -1: of the run's.
func spanID(run string, step int) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "repool run %s step %d", run, step))
	return h[:8]
}

// traceOf turns a run that has ended into the message of its trace. On the wire it
// equals an ExportTraceServiceRequest, which has the same single field.
func traceOf(r topology.RunState, resource []*commonpb.KeyValue, version string) *tracepb.TracesData {
	spans := []*tracepb.Span{rootOf(r)}
	for i, s := range r.Steps {
		spans = append(spans, stepOf(r, i, s))
	}
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: resource},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "github.com/repool/repool",
			Version: version}, Spans: spans}},
	}}}
}

func rootOf(r topology.RunState) *tracepb.Span {
	s := &tracepb.Span{
		TraceId: traceID(r.ID), SpanId: spanID(r.ID, -1),
		Name: "resync " + string(r.Method), Kind: tracepb.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: nanos(r.Started), EndTimeUnixNano: nanos(endOf(r)),
		Attributes: []*commonpb.KeyValue{text("repool.run", r.ID), number("repool.node", int64(r.Node)),
			number("repool.upstream", int64(r.Upstream)),
			text("repool.method", string(r.Method)), text("repool.outcome", string(r.Outcome)),
			text("repool.code", string(r.Code)), number("repool.bytes_moved", int64(r.BytesDone))},
		Status: statusOf(r.Error),
	}
	if r.Outcome != topology.RunDone && r.Error == "" {
		s.Status = statusOf(string(r.Outcome))
	}
	if v := r.Vault; v != nil {
		s.Attributes = append(s.Attributes, text("repool.vault", v.ID), number("repool.lost_commits", int64(v.Commits)))
	}
	return s
}

func stepOf(r topology.RunState, i int, step topology.StepRun) *tracepb.Span {
	ended := step.Ended
	if ended.IsZero() { // its process died, or it is the one that failed
		ended = endOf(r)
	}
	s := &tracepb.Span{
		TraceId: traceID(r.ID), SpanId: spanID(r.ID, i), ParentSpanId: spanID(r.ID, -1),
		Name: step.Name, Kind: tracepb.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: nanos(step.Started), EndTimeUnixNano: nanos(ended), Status: statusOf(step.Error),
		Attributes: []*commonpb.KeyValue{text("repool.run", r.ID), number("repool.node", int64(r.Node))},
	}
	if step.Note != "" {
		s.Attributes = append(s.Attributes, text("repool.note", step.Note))
	}
	return s
}

// endOf is when the run ended, or was last updated.
func endOf(r topology.RunState) time.Time {
	if !r.Ended.IsZero() {
		return r.Ended
	}
	return r.Updated
}

func statusOf(err string) *tracepb.Status {
	if err == "" {
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_OK}
	}
	return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: err}
}

// nanos is zero for the zero time.
func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func text(key, value string) *commonpb.KeyValue {
	v := &commonpb.AnyValue_StringValue{StringValue: value}
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: v}}
}

func number(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}
