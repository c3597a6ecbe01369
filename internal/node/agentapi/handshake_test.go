package agentapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

func TestVersionSkew(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	_, h := agentapi.NewHandler(fake, nil)
	for far, ok := range map[int]bool{agentapi.Protocol - 2: false, agentapi.Protocol - 1: true, agentapi.Protocol: true, agentapi.Protocol + 1: true, agentapi.Protocol + 2: false} {
		// The far side of a controller.
		path := filepath.Join(t.TempDir(), "agent.sock")
		serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(&otherProtocol{w, far}, r)
		}))
		_, err := agentapi.DialUnix(path, nil).Inspect(t.Context())
		if (err == nil) != ok || !ok && (!errors.Is(err, agentapi.ErrVersionSkew) || !strings.Contains(err.Error(), "upgrade the older")) {
			t.Errorf("an agent of protocol %d: %v", far, err)
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
	// The release before the handshake said nothing.
	path := filepath.Join(t.TempDir(), "agent.sock")
	serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k := range r.Header {
			if strings.HasPrefix(k, "Repool-") {
				r.Header.Del(k)
			}
		}
		h.ServeHTTP(w, r)
	}))
	if _, err := agentapi.DialUnix(path, nil).Inspect(t.Context()); err != nil {
		t.Errorf("one release back: %v", err)
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

func TestOnlyControllersAreHeard(t *testing.T) {
	t.Parallel()
	heard := 0
	self := &agentapi.Self{Node: 0, Heard: func() { heard++ }}
	socket, _ := served(t, newFake(t), self, nil)
	for _, e := range []*agentapi.Expect{nil, {Node: 0}, {Node: 0, Controller: true}} {
		if _, err := agentapi.DialUnix(socket, e).Inspect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if heard != 1 {
		t.Errorf("heard of a controller %d times, want 1", heard)
	}
}
