package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

const (
	// waiting bounds the queue of runs.
	waiting = 100
	// attemptDeadline bounds one attempt, patience all attempts for one run. The
	// record of a run is the history; a trace may be lost.
	attemptDeadline = 10 * time.Second
	patience        = 5 * time.Minute
)

// Tracer sends traces. Create it with New and run it once.
type Tracer struct {
	to       Endpoint
	log      *slog.Logger
	version  string
	resource []*commonpb.KeyValue
	runs     chan topology.RunState
	client   *http.Client
}

// New makes a Tracer for an endpoint that is set.
func New(to Endpoint, version string, log *slog.Logger) *Tracer {
	t := &Tracer{to: to, log: log, version: version, runs: make(chan topology.RunState, waiting),
		client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}}
	t.resource = []*commonpb.KeyValue{text("service.name", to.service), text("service.version", version)}
	if host, err := os.Hostname(); err == nil {
		t.resource = append(t.resource, text("host.name", host))
	}
	return t
}

// Passed does nothing.
func (*Tracer) Passed(control.Status) {}

// Happened does nothing.
func (*Tracer) Happened(event.Event) {}

// RunEnded queues the run, without waiting.
func (t *Tracer) RunEnded(r topology.RunState) {
	select {
	case t.runs <- r:
	default:
		t.log.Warn("trace dropped: queue full", "run", r.ID)
	}
}

// Run sends until ctx is done.
func (t *Tracer) Run(ctx context.Context) error {
	for {
		select {
		case r := <-t.runs:
			t.send(ctx, r)
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *Tracer) send(ctx context.Context, r topology.RunState) {
	body, err := proto.Marshal(traceOf(r, t.resource, t.version))
	if err == nil {
		pauses := &backoff.ExponentialBackOff{InitialInterval: time.Second, MaxInterval: time.Minute, Multiplier: 2,
			RandomizationFactor: .3}
		_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, t.post(ctx, body) },
			backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(patience))
	}
	switch {
	case err == nil:
		t.log.Debug("trace sent", "run", r.ID, "trace", IDOf(r.ID))
	case ctx.Err() == nil:
		t.log.Warn("trace not sent", "run", r.ID, "err", err)
	}
}

func (t *Tracer) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, attemptDeadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.to.url, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(fmt.Errorf("post to %s: the address cannot be used", t.to.host))
	}
	r.Header = t.to.headers.Clone()
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", "repool/"+t.version)
	res, err := t.client.Do(r)
	if err != nil {
		var ue *url.Error // its text has the whole address
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return fmt.Errorf("post to %s: %w", t.to.host, err)
	}
	defer func() { _ = res.Body.Close() }()                      // only the status matters
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // for an orderly end of the connection
	if res.StatusCode/100 == 2 {
		return nil
	}
	err = fmt.Errorf("post to %s: it answered %s", t.to.host, res.Status)
	switch res.StatusCode { // as the specification lists them
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return err
	}
	return backoff.Permanent(err)
}
