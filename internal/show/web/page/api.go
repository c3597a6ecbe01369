package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
)

// api is read-only: the same values as `repool … --json`.
func (s *server) api(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, view.ReportOf(s.o.Source.Status(), time.Now()))
	})
	mux.HandleFunc("GET /api/v1/history", func(w http.ResponseWriter, r *http.Request) {
		f, err := filterOf(r)
		if err != nil {
			answer(w, http.StatusBadRequest, problem{err.Error()})
			return
		}
		s.answerEvents(w, r, f, func(events []event.Event) (any, int) { return orEmpty(events), http.StatusOK })
	})
	mux.HandleFunc("GET /api/v1/runs", func(w http.ResponseWriter, r *http.Request) {
		f, err := filterOf(r)
		if err != nil {
			answer(w, http.StatusBadRequest, problem{err.Error()})
			return
		}
		f.Kind = "run"
		s.answerEvents(w, r, f, func(events []event.Event) (any, int) { return runsIn(events), http.StatusOK })
	})
	mux.HandleFunc("GET /api/v1/runs/{id}", func(w http.ResponseWriter, r *http.Request) {
		story, err := s.tell(r.Context(), r.PathValue("id"))
		if none := (view.ErrNoSuchRun{}); errors.As(err, &none) {
			answer(w, http.StatusNotFound, problem{err.Error()})
			return
		}
		if err != nil {
			answer(w, http.StatusServiceUnavailable, problem{err.Error()})
			return
		}
		answer(w, http.StatusOK, story)
	})
}

type problem struct {
	Error string `json:"error"`
}

// filterOf reads node, kind, code, run, since, until and limit.
func filterOf(r *http.Request) (f event.Filter, err error) {
	q := r.URL.Query()
	known := []string{"node", "kind", "code", "run", "since", "until", "limit"}
	for key := range q {
		if !slices.Contains(known, key) {
			return f, fmt.Errorf("%q is not one of %v", key, known)
		}
	}
	f.Kind, f.Code, f.Run = q.Get("kind"), q.Get("code"), q.Get("run")
	if v := q.Get("node"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return f, fmt.Errorf("node %q: want a node id, or -1 for the pool", v)
		}
		id := topology.NodeID(n)
		f.Node = &id
	}
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"since", &f.Since}, {"until", &f.Until}} {
		if v := q.Get(t.name); v != "" {
			if *t.at, err = time.Parse(time.RFC3339, v); err != nil {
				return f, fmt.Errorf("%s %q: want a time such as 2026-01-31T20:15:00Z", t.name, v)
			}
		}
	}
	if v := q.Get("limit"); v != "" {
		if f.Limit, err = strconv.Atoi(v); err != nil || f.Limit < 1 || f.Limit > event.MaxLimit {
			return f, fmt.Errorf("limit %q: want a number from 1 to %d", v, event.MaxLimit)
		}
	}
	return f, nil
}

func (s *server) answerEvents(w http.ResponseWriter, r *http.Request, f event.Filter,
	of func([]event.Event) (any, int)) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	events, err := s.o.Source.History(ctx, f)
	if err != nil {
		answer(w, http.StatusServiceUnavailable, problem{err.Error()})
		return
	}
	v, status := of(events)
	answer(w, status, v)
}

// runsIn are the runs that the events tell the end of, oldest first.
func runsIn(events []event.Event) []topology.RunState {
	out := []topology.RunState{}
	for _, e := range events {
		if r, ok := view.EndOf(e); ok {
			out = append(out, r)
		}
	}
	return out
}

func orEmpty(events []event.Event) []event.Event {
	if events == nil {
		return []event.Event{}
	}
	return events
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the peer has gone if this fails
}
