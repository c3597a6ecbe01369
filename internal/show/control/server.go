package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// NewHandler serves c.
func NewHandler(c Controller) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, c.Status(), nil) })
	mux.HandleFunc("POST /v1/look", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Reason string `json:"reason"`
		}
		if !read(w, r, &q) {
			return
		}
		c.Look(q.Reason)
		reply(w, struct{}{}, nil)
	})
	post(mux, "/v1/hold", func(ctx context.Context, q *holdRequest) error {
		q.HoldRequest.Node = *q.Node
		return c.Hold(ctx, q.HoldRequest)
	})
	post(mux, "/v1/release", func(ctx context.Context, q *holdRequest) error { return c.Release(ctx, *q.Node, q.Who) })
	post(mux, "/v1/resync", func(ctx context.Context, q *resyncRequest) error {
		q.ResyncRequest.Node = *q.Node
		return c.Resync(ctx, q.ResyncRequest)
	})
	post(mux, "/v1/attach", func(ctx context.Context, q *nodeRequest) error {
		q.NodeRequest.Node = *q.Node
		return c.Attach(ctx, q.NodeRequest)
	})
	post(mux, "/v1/detach", func(ctx context.Context, q *nodeRequest) error {
		q.NodeRequest.Node = *q.Node
		return c.Detach(ctx, q.NodeRequest)
	})
	post(mux, "/v1/checkpoint", func(ctx context.Context, q *resyncRequest) error { return c.Checkpoint(ctx, *q.Node) })
	mux.HandleFunc("POST /v1/recover", func(w http.ResponseWriter, r *http.Request) { recoverNode(w, r, c) })
	mux.HandleFunc("GET /v1/history", func(w http.ResponseWriter, r *http.Request) {
		f, err := filterOf(r)
		if err != nil {
			badRequest(w, err)
			return
		}
		ev, err := c.History(r.Context(), f)
		reply(w, ev, err)
	})
	return mux
}

// filterOf reads the query of a request for events.
func filterOf(r *http.Request) (f event.Filter, err error) {
	f.Kind, f.Code, f.Run = r.FormValue("kind"), r.FormValue("code"), r.FormValue("run")
	if v := r.FormValue("node"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return f, fmt.Errorf("node %q: want a node id", v)
		}
		id := topology.NodeID(n)
		f.Node = &id
	}
	if v := r.FormValue("limit"); v != "" {
		if f.Limit, err = strconv.Atoi(v); err != nil || f.Limit < 0 {
			return f, fmt.Errorf("limit %q: want a number", v)
		}
	}
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"since", &f.Since}, {"until", &f.Until}} {
		if v := r.FormValue(t.name); v != "" {
			if *t.at, err = time.Parse(time.RFC3339, v); err != nil {
				return f, fmt.Errorf("%s %q: want a time such as 2026-01-31T20:15:00Z", t.name, v)
			}
		}
	}
	return f, nil
}

// Requests that concern a node must name it: without the pointers, one that does not
// would mean node 0.
type holdRequest struct {
	HoldRequest
	Node *topology.NodeID `json:"node"`
}

type resyncRequest struct {
	ResyncRequest
	Node *topology.NodeID `json:"node"`
}

type nodeRequest struct {
	NodeRequest
	Node *topology.NodeID `json:"node"`
}

func (q *holdRequest) named() bool   { return q.Node != nil }
func (q *nodeRequest) named() bool   { return q.Node != nil }
func (q *resyncRequest) named() bool { return q.Node != nil }

// aboutNode is a request that must name its node.
type aboutNode[Q any] interface {
	*Q
	named() bool
}

// post serves a request whose only answer is an error.
func post[Q any, P aboutNode[Q]](mux *http.ServeMux, path string, do func(context.Context, P) error) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		q := P(new(Q))
		if readNamed(w, r, q) {
			reply(w, struct{}{}, do(r.Context(), q))
		}
	})
}

func readNamed[Q any, P aboutNode[Q]](w http.ResponseWriter, r *http.Request, q P) bool {
	if !read(w, r, q) {
		return false
	}
	if !q.named() {
		badRequest(w, errors.New("the node is missing"))
		return false
	}
	return true
}

// line is one line of the recover stream; the last has Done set, and Err or Fail if
// the recovery failed.
type line struct {
	Say  string        `json:"say,omitempty"`
	Done bool          `json:"done,omitempty"`
	Err  *RefusedError `json:"err,omitempty"`
	Fail string        `json:"fail,omitempty"`
}

// recoverNode streams progress as JSON lines, so that whoever runs
// pcp_recovery_node can follow it in the server's log.
func recoverNode(w http.ResponseWriter, r *http.Request, c Controller) {
	var q resyncRequest
	if !readNamed(w, r, &q) {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	send := func(l line) {
		if enc.Encode(l) == nil {
			_ = flush.Flush() // the next write shows if the peer has gone
		}
	}
	err := c.Recover(r.Context(), *q.Node, func(s string) { send(line{Say: s}) })
	last := line{Done: true}
	if !errors.As(err, &last.Err) && err != nil {
		last.Fail = err.Error()
	}
	send(last)
}

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		badRequest(w, err)
		return false
	}
	return true
}

func badRequest(w http.ResponseWriter, err error) {
	answer(w, http.StatusBadRequest, RefusedError{Msg: "bad request: " + err.Error()})
}

// reply answers with v, a refusal (409), or another error (500).
func reply(w http.ResponseWriter, v any, err error) {
	var re *RefusedError
	switch {
	case errors.As(err, &re):
		answer(w, http.StatusConflict, re)
	case err != nil:
		answer(w, http.StatusInternalServerError, RefusedError{Msg: err.Error()})
	default:
		answer(w, http.StatusOK, v)
	}
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
