package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/repool/repool/internal/show/control"
)

// stuckAfter is how old the newest pass may be, in addition to the interval, before
// the loop counts as stuck.
const stuckAfter = time.Minute

// health serves /healthz (is the loop running?) and /readyz (does it see its
// Pgpool-II?).
func (o Options) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		say(w, alive(o.Status(), o.Interval, time.Now()))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		st := o.Status()
		why := alive(st, o.Interval, time.Now())
		if why == "" {
			why = ready(st)
		}
		say(w, why)
	})
}

// alive says why the loop is not running; empty: it is.
func alive(st control.Status, interval time.Duration, now time.Time) string {
	if age := now.Sub(st.At); age > interval+stuckAfter {
		return fmt.Sprintf("the last pass ended %s ago", age.Round(time.Second))
	}
	return ""
}

// ready says why this controller could not act if it had to; empty: it could. One
// that is not acting because its Pgpool-II does not lead is ready.
func ready(st control.Status) string {
	switch {
	case st.Pass == 0:
		return "the first look at the pool is not finished"
	case len(st.Snapshot.Pools) == 0 || !st.Snapshot.Pools[0].OK():
		return st.Why
	}
	return ""
}

// say answers 200, or 503 with the reason.
func say(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	status, text := http.StatusOK, "ok"
	if why != "" {
		status, text = http.StatusServiceUnavailable, why
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // the peer has gone if this fails
}
