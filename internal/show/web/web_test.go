package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// get asks a handler over one published status.
func get(t *testing.T, o Options, path string) (status int, body string, h http.Header) {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := httptest.NewRecorder()
	New(o).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b), w.Header()
}

func TestHealth(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sees := topology.Snapshot{Pools: []topology.PoolView{{Source: topology.Source{At: now}}}}
	blind := topology.Snapshot{Pools: []topology.PoolView{{Source: topology.Source{At: now, Err: "refused"}}}}
	for name, c := range map[string]struct {
		st              control.Status
		healthz, readyz int
		why             string
	}{
		"acts": {control.Status{At: now, Pass: 7, Acting: true, Snapshot: sees}, 200, 200,
			"ok"},
		"beside a Pgpool-II that does not lead": {control.Status{At: now, Pass: 7, Why: "only the leader acts",
			Snapshot: sees}, 200, 200, "ok"},
		"Pgpool-II does not answer": {control.Status{At: now, Pass: 7, Why: "the local Pgpool-II does not answer: refused",
			Snapshot: blind}, 200, 503, "does not answer: refused"},
		"has not looked yet": {control.Status{At: now, Why: "starting"}, 200, 503, "first look"},
		"the loop is stuck": {control.Status{At: now.Add(-5 * time.Minute), Pass: 7, Acting: true, Snapshot: sees}, 503, 503,
			"5m0s ago"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Status: func() control.Status { return c.st }, Interval: time.Second}
			if got, body, _ := get(t, o, "/healthz"); got != c.healthz {
				t.Errorf("healthz: %d %s", got, body)
			}
			if got, body, _ := get(t, o, "/readyz"); got != c.readyz || !strings.Contains(body, c.why) {
				t.Errorf("readyz: %d %s", got, body)
			}
		})
	}
}

func TestWhatIsServed(t *testing.T) {
	t.Parallel()
	o := Options{Status: func() control.Status { return control.Status{At: time.Now()} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "figures") })}
	status, body, h := get(t, o, "/metrics")
	if status != 200 || body != "figures" || h.Get("Cache-Control") != "no-store" || h.Get("X-Frame-Options") != "DENY" {
		t.Errorf("metrics: %d %q %v", status, body, h)
	}
	if status, _, _ := get(t, o, "/"); status != 200 {
		t.Errorf("page: %d", status)
	}
	if status, _, _ := get(t, o, "/etc/passwd"); status != 404 {
		t.Errorf("another path: %d", status)
	}
	o.Metrics = nil
	if status, _, _ := get(t, o, "/metrics"); status != 404 {
		t.Errorf("without metrics: %d", status)
	}
}
