package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/repool/repool/internal/show/control"
)

// Options wire the handler. All but Page and Metrics are needed.
type Options struct {
	// Status gives the newest published state; it never blocks.
	Status func() control.Status
	// Interval is the longest pause between two passes of the controller.
	Interval time.Duration
	// Page serves all other paths; nil: / lists the other pages.
	Page http.Handler
	// Metrics serves /metrics; nil: that is not found.
	Metrics http.Handler
	Log     *slog.Logger
}

// New makes the handler of everything.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	o.health(mux)
	o.page(mux)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", inTime(o.Metrics))
	}
	return guard(mux)
}

// guard adds the headers of every response: no caching, no frames of other sites,
// no guessing of types.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// writeFor bounds the writing of a response that is not a stream.
const writeFor = 10 * time.Second

// inTime drops a client that does not read.
func inTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What cannot be bounded, such as a test's recorder, needs no bound.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeFor))
		next.ServeHTTP(w, r)
	})
}
