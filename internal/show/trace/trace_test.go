package trace

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/repool/repool/internal/core/topology"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func at(sec int) time.Time { return noon.Add(time.Duration(sec) * time.Second) }

var run = topology.RunState{ID: "run1", Node: 2, Upstream: 1, Method: topology.MethodRewind,
	Outcome: topology.RunFailed, Code: "rewind-failed", Error: "pg_rewind: no",
	Started: at(0), Ended: at(9), BytesDone: 77, Vault: &topology.VaultEntry{ID: "v", Commits: 3},
	Steps: []topology.StepRun{{Name: "vault", Started: at(1), Ended: at(2), Note: "9 kB"},
		{Name: "rewind", Started: at(3), Error: "pg_rewind: no"}}}

// collector is one that takes what comes, after the first answers.
func collector(t *testing.T, answers ...int) (address string, got <-chan *tracepb.TracesData,
	heads <-chan http.Header) {
	t.Helper()
	traces, headers := make(chan *tracepb.TracesData, 10), make(chan http.Header, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(answers) > 0 {
			w.WriteHeader(answers[0])
			answers = answers[1:]
			return
		}
		b, err := io.ReadAll(r.Body)
		var d tracepb.TracesData
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(b, &d) != nil {
			t.Errorf("request %s: %v, %d bytes", r.URL, err, len(b))
		}
		traces <- &d
		headers <- r.Header
	}))
	t.Cleanup(s.Close)
	return s.URL, traces, headers
}

func start(t *testing.T, env map[string]string, log io.Writer) *Tracer {
	t.Helper()
	e, err := FindEndpoint("", func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	tr := New(e, "test", slog.New(slog.NewTextHandler(log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return tr
}

// TestRunBecomesATrace, also where the collector is busy at first.
func TestRunBecomesATrace(t *testing.T) {
	t.Parallel()
	address, got, heads := collector(t, http.StatusServiceUnavailable)
	start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": address + "/", "OTEL_EXPORTER_OTLP_HEADERS": "x-token=a%20b",
		"OTEL_SERVICE_NAME": "mine"}, t.Output()).RunEnded(run)
	d, h := <-got, <-heads
	if h.Get("X-Token") != "a b" || h.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("headers: %v", h)
	}
	rs := d.ResourceSpans[0]
	if a := rs.Resource.Attributes[0]; a.Key != "service.name" || a.Value.GetStringValue() != "mine" {
		t.Errorf("resource: %v", rs.Resource)
	}
	spans := rs.ScopeSpans[0].Spans
	if len(spans) != 3 {
		t.Fatalf("%d spans: %v", len(spans), spans)
	}
	root := spans[0]
	if root.Name != "resync rewind" || root.Status.Code != tracepb.Status_STATUS_CODE_ERROR ||
		root.Status.Message != "pg_rewind: no" || len(root.ParentSpanId) != 0 ||
		root.StartTimeUnixNano != uint64(at(0).UnixNano()) || root.EndTimeUnixNano != uint64(at(9).UnixNano()) {
		t.Errorf("root: %v", root)
	}
	seen := map[string]bool{}
	for i, s := range spans {
		if i > 0 && !bytes.Equal(s.ParentSpanId, root.SpanId) || !bytes.Equal(s.TraceId, root.TraceId) ||
			len(s.TraceId) != 16 || len(s.SpanId) != 8 || seen[string(s.SpanId)] {
			t.Errorf("span %d: %v", i, s)
		}
		seen[string(s.SpanId)] = true
	}
	if s := spans[1]; s.Name != "vault" || s.Status.Code != tracepb.Status_STATUS_CODE_OK ||
		s.EndTimeUnixNano != uint64(at(2).UnixNano()) {
		t.Errorf("step: %v", s)
	}
	if s := spans[2]; s.EndTimeUnixNano != uint64(at(9).UnixNano()) || s.Status.Code != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("the step that failed: %v", s)
	}
	if id := IDOf("run1"); len(id) != 32 || id == IDOf("run2") {
		t.Errorf("trace id %s", id)
	}
}

// TestDeadCollectorHoldsNobodyUp: the queue fills, and what is too much is said.
func TestDeadCollectorHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer s.Close()
	defer close(block)
	var log bytes.Buffer
	e, err := FindEndpoint(s.URL, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	tr := New(e, "test", slog.New(slog.NewTextHandler(&log, nil))) // nobody runs it
	for range waiting + 3 {
		tr.RunEnded(run)
	}
	if n := strings.Count(log.String(), "trace dropped"); n != 3 {
		t.Errorf("%d dropped: %s", n, log.String())
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	const generic, own = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	for name, c := range map[string]struct {
		configured string
		env        map[string]string
		want       string
		bad        bool
	}{
		"nothing":              {},
		"environment":          {env: map[string]string{generic: "http://h:4318"}, want: "http://h:4318/v1/traces"},
		"for traces, as it is": {env: map[string]string{generic: "http://h:4318", own: "https://t/x"}, want: "https://t/x"},
		"configured outranks": {configured: "http://c:4318/", env: map[string]string{own: "https://t/x"},
			want: "http://c:4318/v1/traces"},
		"switched off": {configured: "http://c:4318", env: map[string]string{"OTEL_SDK_DISABLED": "TRUE"}},
		"no URL":       {env: map[string]string{generic: "h:4318"}, bad: true},
		"headers that are none": {configured: "http://c", env: map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "token"},
			bad: true},
	} {
		e, err := FindEndpoint(c.configured, func(k string) string { return c.env[k] })
		if e.url != c.want || (err != nil) != c.bad || e.Set() != (c.want != "") {
			t.Errorf("%s: %q, %v", name, e.url, err)
		}
	}
}
