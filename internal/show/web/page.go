package web

import (
	"fmt"
	"net/http"
)

// page serves what a person sees at /.
func (o Options) page(mux *http.ServeMux) {
	if o.Page != nil {
		mux.Handle("/", o.Page)
		return
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, "repool: see /metrics, /healthz and /readyz") // the peer has gone if this fails
	})
}
