package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// serve runs a page over the stage until the test ends.
func serve(t *testing.T, s *stage, l Login) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(New(s.options(l)))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// inline is what the content security policy would refuse: better not there.
var inline = regexp.MustCompile(`(?i)<script(>| [^>]*[^c]>[^<])|<style|\sstyle=|\son[a-z]+=|javascript:|https?://`)

func TestPagesAreWholeAndTheirOwn(t *testing.T) {
	t.Parallel()
	srv := serve(t, parked(), Login{TokenFile: "/nowhere"})
	for path, want := range map[string]string{"/": "Node 2 is parked", "/login": "Password or token",
		"/runs/" + runID: "29 lost commits", "/runs/none": "no run"} {
		_, body, h := get(t, srv.URL+path)
		if !strings.Contains(body, want) || !strings.Contains(body, `<html lang="en">`) {
			t.Errorf("%s lacks %q:\n%s", path, want, body)
		}
		if csp := h.Get("Content-Security-Policy"); csp != policy || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if bad := inline.FindString(body); bad != "" {
			t.Errorf("%s has %q in it", path, bad)
		}
	}
	_, body, _ := get(t, srv.URL+"/")
	for _, need := range []string{`<main `, `role="status"`, `aria-live="polite"`,
		`role="img" aria-label="2 of 4 nodes are attached. Node 0 is the primary.`, `<th scope="row">2</th>`,
		`<noscript><meta http-equiv="refresh"`, `class="skip"`} {
		if !strings.Contains(body, need) {
			t.Errorf("the page lacks %s", need)
		}
	}
	asset := regexp.MustCompile(`/assets/page-[0-9a-f]{12}\.css`).FindString(body)
	if status, _, h := get(t, srv.URL+asset); status != 200 || !strings.Contains(h.Get("Cache-Control"), "immutable") {
		t.Errorf("asset %q: %d %v", asset, status, h)
	}
	if status, _, _ := get(t, srv.URL+"/assets/page.css"); status != 404 {
		t.Errorf("an asset of another version: %d", status)
	}
}

// TestWhatOthersWroteIsOnlyText: names, errors and reasons come from outside.
func TestWhatOthersWroteIsOnlyText(t *testing.T) {
	t.Parallel()
	const evil = `<img src=x onerror=alert(1)>"'`
	s := healthy(3)
	s.change(func(st *control.Status) {
		st.Snapshot.Nodes[1].Host = evil
		decide(st, plan.Decision{Node: 1, Code: codes.Parked, Severity: codes.Refused, Reason: evil, Hint: evil,
			Evidence: []string{evil}})
		st.Memory.Holds = []plan.Hold{{Node: topology.NoNode, Who: evil, Why: evil}}
	})
	s.event(0, 1, "run", evil, evil, evil, nil)
	_, body, _ := get(t, serve(t, s, Login{}).URL)
	if strings.Contains(body, "<img") || !strings.Contains(body, "&lt;img") {
		t.Error("a text became markup")
	}
}

func TestHistoryThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := &silent{healthy(3)}
	o := s.options(Login{})
	o.Source = s
	srv := httptest.NewServer(New(o))
	defer srv.Close()
	begun := time.Now()
	status, body, _ := get(t, srv.URL)
	if status != 200 || !strings.Contains(body, "All 3 nodes are attached") ||
		!strings.Contains(body, "The history cannot be read") || time.Since(begun) > 10*time.Second {
		t.Errorf("%d after %s:\n%s", status, time.Since(begun), body)
	}
}

// silent is a stage whose history waits for ever.
type silent struct{ *stage }

func (s *silent) History(ctx context.Context, _ event.Filter) ([]event.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// events reads the stream; next gives the sections of the next view.
func events(t *testing.T, url string) (next func() map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 8<<20)
	return func() map[string]string {
		t.Helper()
		for in.Scan() {
			if data, is := strings.CutPrefix(in.Text(), "data: "); is {
				var m map[string]string
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					t.Fatal(err)
				}
				return m
			}
		}
		t.Fatal(in.Err())
		return nil
	}
}

func TestOnlyWhatHasChangedIsSent(t *testing.T) {
	t.Parallel()
	s := healthy(3)
	next := events(t, serve(t, s, Login{}).URL)
	if first := next(); len(first) != len(sections) {
		t.Errorf("the first view has %d sections", len(first))
	}
	s.change(func(st *control.Status) { st.Snapshot.Nodes[1].SQL.Replay -= 1000 })
	got := next()
	if !strings.Contains(got["s-nodes"], "1000 B") || !strings.Contains(got["s-picture"], "lag 1000 B") {
		t.Errorf("got %v", got)
	}
	for _, same := range []string{"s-head", "s-alarms", "s-events", "s-vault"} {
		if _, sent := got[same]; sent {
			t.Errorf("%s was sent and has not changed", same)
		}
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	srv := serve(t, parked(), Login{})
	for path, c := range map[string]struct {
		status int
		want   string
	}{
		"/api/v1/status":                        {200, `"decisions":[{"node":0`},
		"/api/v1/history?node=2&code=parked":    {200, `"code":"parked"`},
		"/api/v1/history?node=1&kind=run":       {200, `[]`},
		"/api/v1/history?nod=1":                 {400, `"nod\" is not one of`},
		"/api/v1/history?since=yesterday":       {400, `want a time such as`},
		"/api/v1/history?limit=0":               {400, `want a number`},
		"/api/v1/runs":                          {200, `"id":"` + runID},
		"/api/v1/runs/" + runID:                 {200, `"lost_commits":29`},
		"/api/v1/runs/none":                     {404, `no run`},
		"/api/v1/history?until=2020-01-01T0:0Z": {400, `until`},
		"/act":                                  {404, ""},
		"/login":                                {404, ""},
	} {
		status, body, _ := get(t, srv.URL+path)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/api/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("post: %v, %v", resp.Status, errors.Join(err, resp.Body.Close()))
	}
}

// TestLargePool: at 60 nodes a view is made in a moment and fits a phone's line.
func TestLargePool(t *testing.T) {
	t.Parallel()
	s := sixty()
	srv := serve(t, s, Login{})
	next := events(t, srv.URL)
	next()
	s.change(func(st *control.Status) { st.Snapshot.Nodes[1].SQL.Replay -= 1000 })
	size := 0
	for _, html := range next() {
		size += len(html)
	}
	if _, body, _ := get(t, srv.URL); len(body) > 250<<10 || size > 200<<10 {
		t.Errorf("the page has %d bytes, a change %d", len(body), size)
	}
}
