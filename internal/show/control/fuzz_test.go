package control

import (
	"encoding/json"
	"github.com/repool/repool/internal/show/event"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest is anybody at the socket: a request is carried out, with the node
// that it names, or refused as a bad one, in words.
func FuzzRequest(f *testing.F) {
	for _, s := range [][3]string{
		{"POST", "/v1/hold", `{"node":1,"who":"ann","why":"disk","until":"2026-01-31T20:15:00Z"}`},
		{"POST", "/v1/release", `{"node":-1,"who":"ann"}`}, {"POST", "/v1/resync", `{"node":2,"method":"any"}`}, {"POST",
			"/v1/resync", `{"method":"any"}`},
		{"POST", "/v1/checkpoint", `{"node":0}`}, {"POST", "/v1/attach", `{"node":1,"who":"ann"}`}, {"POST", "/v1/detach",
			`{"who":"ann"}`}, {"POST", "/v1/recover", `{"node":1}`}, {"POST", "/v1/look", `{"reason":"x"}`},
		{"POST", "/v1/look", `{"node":1e99}`},
		{"GET", "/v1/history?node=1&limit=3&since=2026-01-31T20:15:00Z&kind=run", ""}, {"GET", "/v1/history?limit=-1",
			""}, {"GET", "/v1/status", ""}, {"GET", "/v2", ""},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://repool"+target, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		c := &fakeController{events: []event.Event{}}
		w := httptest.NewRecorder()
		NewHandler(c).ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		var refused RefusedError
		if w.Code == http.StatusBadRequest && (json.Unmarshal(w.Body.Bytes(), &refused) != nil || refused.Msg == "" ||
			len(c.calls) > 0) {
			t.Errorf("refused with %q, after %q", w.Body, c.calls)
		}
		if r.Method == http.MethodGet && len(c.calls) > 0 && c.calls[0] != "history" {
			t.Errorf("a question did %q", c.calls)
		}
		if aboutNode := strings.HasPrefix(r.URL.Path, "/v1/") && r.URL.Path != "/v1/look"; r.Method == http.MethodPost &&
			aboutNode && len(c.calls) > 0 {
			var named map[string]json.RawMessage
			// The first value counts; what comes behind it is not read.
			if err := json.NewDecoder(strings.NewReader(body)).Decode(&named); err != nil || !says(named, "node") {
				t.Errorf("%q of a node that %q does not name", c.calls, body)
			}
		}
	})
}

// says whether a request has that key, in the letters that encoding/json takes.
func says(named map[string]json.RawMessage, key string) bool {
	for k, v := range named {
		if strings.EqualFold(k, key) && string(v) != "null" {
			return true
		}
	}
	return false
}
