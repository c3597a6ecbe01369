package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/topology"
)

// Listen makes the socket at path, mode 0600, taking the place of a dead one.
// It must be called by the holder of the state directory's lock only.
func Listen(path string) (net.Listener, error) {
	if len(path) > 100 {
		return nil, fmt.Errorf("socket path %s is longer than the 100 bytes a unix socket takes: set controller.socket to a shorter one", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket: %w", err), l.Close())
	}
	return l, nil
}

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
	mux.HandleFunc("POST /v1/hold", func(w http.ResponseWriter, r *http.Request) {
		var q HoldRequest
		if read(w, r, &q) {
			reply(w, struct{}{}, c.Hold(r.Context(), q))
		}
	})
	mux.HandleFunc("POST /v1/release", func(w http.ResponseWriter, r *http.Request) {
		var q HoldRequest
		if read(w, r, &q) {
			reply(w, struct{}{}, c.Release(r.Context(), q.Node, q.Who))
		}
	})
	mux.HandleFunc("POST /v1/resync", func(w http.ResponseWriter, r *http.Request) {
		var q ResyncRequest
		if read(w, r, &q) {
			reply(w, struct{}{}, c.Resync(r.Context(), q))
		}
	})
	mux.HandleFunc("POST /v1/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		var q ResyncRequest
		if read(w, r, &q) {
			reply(w, struct{}{}, c.Checkpoint(r.Context(), q.Node))
		}
	})
	mux.HandleFunc("POST /v1/recover", func(w http.ResponseWriter, r *http.Request) { recoverNode(w, r, c) })
	mux.HandleFunc("GET /v1/history", func(w http.ResponseWriter, r *http.Request) {
		f := history.Filter{Kind: r.FormValue("kind")}
		if n, err := strconv.Atoi(r.FormValue("node")); err == nil {
			id := topology.NodeID(n)
			f.Node = &id
		}
		f.Limit, _ = strconv.Atoi(r.FormValue("limit")) // absent or bad: the default
		if t, err := time.Parse(time.RFC3339, r.FormValue("since")); err == nil {
			f.Since = t
		}
		ev, err := c.History(r.Context(), f)
		reply(w, ev, err)
	})
	return mux
}

// line is one line of the recover stream; the last has Done set.
type line struct {
	Say  string        `json:"say,omitempty"`
	Done bool          `json:"done,omitempty"`
	Err  *RefusedError `json:"err,omitempty"`
}

// recoverNode streams progress as JSON lines, so that the person at
// pcp_recovery_node sees what happens in the server's log.
func recoverNode(w http.ResponseWriter, r *http.Request, c Controller) {
	var q ResyncRequest
	if !read(w, r, &q) {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	send := func(l line) {
		if enc.Encode(l) == nil {
			_ = flush.Flush() // the next write tells if the peer has gone
		}
	}
	err := c.Recover(r.Context(), q.Node, func(s string) { send(line{Say: s}) })
	send(line{Done: true, Err: asRefused(err)})
}

func asRefused(err error) *RefusedError {
	if err == nil {
		return nil
	}
	var re *RefusedError
	if errors.As(err, &re) {
		return re
	}
	return &RefusedError{Msg: err.Error()}
}

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(RefusedError{Msg: "bad request: " + err.Error()}) // the peer has gone if this fails
		return false
	}
	return true
}

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		v = asRefused(err)
	}
	_ = json.NewEncoder(w).Encode(v) // the peer has gone if this fails
}
