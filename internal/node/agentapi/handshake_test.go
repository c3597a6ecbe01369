package agentapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/test/fakes/agentapitest"
)

func TestVersionSkew(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	_, h := agentapi.NewHandler(fake, nil)
	for apart := -2; apart <= 2; apart++ {
		far, ok := agentapi.Protocol+apart, apart >= -1 && apart <= 1
		// The far side of a controller.
		path := filepath.Join(t.TempDir(), "agent.sock")
		serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(&otherProtocol{w, far}, r)
		}))
		_, err := agentapi.DialUnix(path, nil).Inspect(t.Context())
		if (err == nil) != ok || !ok && agentapi.Code(err) != "agent-version-skew" {
			t.Errorf("an agent of protocol %d: %v", far, err)
		}
		if !ok && !strings.Contains(err.Error(), "upgrade the older") {
			t.Errorf("it does not say what to do: %v", err)
		}
		// The far side of an agent.
		path = filepath.Join(t.TempDir(), "agent.sock")
		serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Repool-Protocol", fmt.Sprint(far))
			h.ServeHTTP(w, r)
		}))
		_, err = agentapi.DialUnix(path, nil).Inspect(t.Context())
		if (err == nil) != ok || !ok && agentapi.Code(err) != "agent-version-skew" {
			t.Errorf("a controller of protocol %d: %v", far, err)
		}
	}
	// A caller that names no protocol is not repool, or older than the handshake.
	path := filepath.Join(t.TempDir(), "agent.sock")
	serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Repool-Protocol")
		h.ServeHTTP(w, r)
	}))
	if _, err := agentapi.DialUnix(path, nil).Inspect(t.Context()); agentapi.Code(err) != "agent-version-skew" {
		t.Errorf("a caller that names no protocol: %v", err)
	}
	path = filepath.Join(t.TempDir(), "agent.sock")
	serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	for call, err := range calls(t.Context(), agentapi.DialUnix(path, nil)) {
		const want = ": something answers that is not a repool agent"
		if err == nil || agentapi.Code(err) != "" || !strings.HasSuffix(err.Error(), path+want) {
			t.Errorf("%s: something else at the agent's address: %v", call, err)
		}
	}
}

// TestOneReleaseApart: of a newer agent's response the unknown part is left
// out; a newer caller's request with an unknown part is refused before the
// agent sees it.
func TestOneReleaseApart(t *testing.T) {
	t.Parallel()
	fake := &agentapitest.Fake{State: topology.Inspection{Dir: topology.DirPresent}}
	_, h := agentapi.NewHandler(fake, nil)
	path := filepath.Join(t.TempDir(), "agent.sock")
	serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		r.Header.Del("Accept-Encoding")
		h.ServeHTTP(rec, r)
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.Header().Set("Repool-Protocol", fmt.Sprint(agentapi.Protocol+1))
		_, _ = w.Write([]byte(`{"new_fact":[1,{}],` + strings.TrimPrefix(rec.Body.String(), "{")))
	}))
	in, err := agentapi.DialUnix(path, nil).Inspect(t.Context())
	if err != nil || in.Dir != topology.DirPresent {
		t.Errorf("a newer agent says more: %+v, %v", in, err)
	}

	path = filepath.Join(t.TempDir(), "agent.sock")
	serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Repool-Protocol", fmt.Sprint(agentapi.Protocol+1))
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") { // not Watch, whose messages are framed
			text, _ := io.ReadAll(r.Body)
			wish := strings.Replace(`{"new_wish":true,`+string(text[1:]), ",}", "}", 1)
			r.Body = io.NopCloser(strings.NewReader(wish))
			r.ContentLength = -1
		}
		h.ServeHTTP(w, r)
	}))
	for call, err := range calls(t.Context(), agentapi.DialUnix(path, nil)) {
		if call == "Watch" {
			continue
		}
		if !errors.Is(err, agentapi.ErrRefused) || !strings.Contains(err.Error(), `unknown field "new_wish"`) {
			t.Errorf("%s asks for more than the agent understands: %v", call, err)
		}
	}
}

// otherProtocol is an answer of another release.
type otherProtocol struct {
	http.ResponseWriter
	protocol int
}

func (o *otherProtocol) Write(b []byte) (int, error) { o.mark(); return o.ResponseWriter.Write(b) }

func (o *otherProtocol) WriteHeader(status int) { o.mark(); o.ResponseWriter.WriteHeader(status) }

func (o *otherProtocol) mark() { o.Header().Set("Repool-Protocol", fmt.Sprint(o.protocol)) }

func TestAgentOfAnotherNodeOrCluster(t *testing.T) {
	t.Parallel()
	self := &agentapi.Self{Node: 3, System: func() topology.SystemID { return 77 }}
	socket, _ := served(t, newFake(t), self, nil)
	other := agentapi.DialUnix(socket, &agentapi.Expect{Node: 2})
	refusedWith(t, other, agentapi.ErrWrongNode, "agent-wrong-node")
	dial := func(system topology.SystemID) agentapi.Agent {
		return agentapi.DialUnix(socket, &agentapi.Expect{Node: 3, System: func() topology.SystemID { return system }})
	}
	foreign := dial(78)
	if _, err := foreign.Inspect(t.Context()); err != nil {
		t.Errorf("looking is allowed: %v", err)
	}
	for call, err := range calls(t.Context(), foreign) {
		switch call {
		case "Acquire", "StartRun", "Clear", "Cancel", "Fence":
			if !errors.Is(err, agentapi.ErrForeignSystem) || agentapi.Code(err) != "agent-foreign-system" {
				t.Errorf("%s: %v", call, err)
			}
		default:
			if errors.Is(err, agentapi.ErrForeignSystem) {
				t.Errorf("%s: %v", call, err)
			}
		}
	}
	for _, known := range []topology.SystemID{0, 77} {
		if _, err := dial(known).Acquire(t.Context(), "x"); err != nil {
			t.Errorf("system identifier %s: %v", known, err)
		}
	}
}

func TestOnlyControllersCount(t *testing.T) {
	t.Parallel()
	calls := 0
	self := &agentapi.Self{Node: 0, ControllerCalled: func() { calls++ }}
	socket, _ := served(t, newFake(t), self, nil)
	for _, e := range []*agentapi.Expect{nil, {Node: 0}, {Node: 0, Controller: true}} {
		if _, err := agentapi.DialUnix(socket, e).Inspect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls count as a controller's, want 1", calls)
	}
}
