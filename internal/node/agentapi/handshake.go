package agentapi

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/repool/repool/internal/core/topology"
)

// Protocol is the number of the contract that this program speaks. It grows
// with each release that changes what a call means; one release back and one
// ahead are understood, so that hosts can be upgraded one by one.
//
// Protocols 1 and 2 were protobuf, which this program does not speak; 3 was
// left out so that 2 is refused here and 4 is refused there.
const Protocol = 4

// Headers of the handshake, on each request and response. A connection may be
// used for hours and the peer be replaced meanwhile, so nothing is remembered.
const (
	headerProtocol = "Repool-Protocol"
	headerVersion  = "Repool-Version"
	headerNode     = "Repool-Node"
	headerSystem   = "Repool-System"
	headerCaller   = "Repool-Caller"
)

// Expect is what a caller knows about the agent that it wants to reach. nil
// means nothing.
type Expect struct {
	// Node is the node that the agent must have.
	Node topology.NodeID
	// System returns the pool's system identifier, 0 while it is unknown; nil means
	// always unknown. An agent with another cluster's data refuses every order.
	System func() topology.SystemID
	// Version is the caller's own; the agent names it when the versions do not fit.
	Version string
	// Controller is set by a running controller, not by a command: an agent that no
	// controller has called for a while may conclude that its host is cut off.
	Controller bool
}

// Self is what an agent says about itself, and whom it serves. A nil Self serves
// everybody who can reach it, whatever node they expect.
type Self struct {
	Node    topology.NodeID
	Version string
	// System returns the system identifier of the data directory, 0 without one.
	System func() topology.SystemID
	// Controllers returns the names of which a caller's certificate must have one,
	// for each call that comes over TLS. nil refuses all of them.
	Controllers func() []string
	// ControllerCalled is told of each call that a controller makes; it may be nil.
	ControllerCalled func()
}

// controllerCalls is the value of headerCaller that a controller sends.
const controllerCalls = "controller"

// skew is the error for a peer whose protocol is more than one apart. named is
// false for a peer that names none.
func skew(peer string, h http.Header) (named bool, err error) {
	far, err := strconv.Atoi(h.Get(headerProtocol))
	switch {
	case err != nil:
		return false, nil
	case far >= Protocol-1 && far <= Protocol+1:
		return true, nil
	}
	version := cmp.Or(h.Get(headerVersion), "of an unknown version")
	return true, fmt.Errorf("%s (repool %s) speaks protocol %d, this program understands %d to %d: "+
		"upgrade the older of the two: %w", peer, version, far, Protocol-1, Protocol+1, ErrVersionSkew)
}

// guard serves what the handshake allows, and says who this agent is.
func (s *Self) guard(next http.Handler) http.Handler {
	refuse := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerProtocol, strconv.Itoa(Protocol))
		if s != nil {
			w.Header().Set(headerNode, s.Node.String())
			w.Header().Set(headerVersion, s.Version)
		}
		if err := s.admit(r); err != nil {
			if errors.Is(err, ErrNotAllowed) {
				w.Header().Set("Connection", "close") // the next connection may bring a better certificate
			}
			_ = refuse.Write(w, r, wireError(err)) // the caller may have gone
			return
		}
		if s != nil && s.ControllerCalled != nil && r.Header.Get(headerCaller) == controllerCalls {
			s.ControllerCalled()
		}
		next.ServeHTTP(w, r)
	})
}

// admit says why a request is not served.
func (s *Self) admit(r *http.Request) error {
	switch named, err := skew("the caller", r.Header); {
	case err != nil:
		return err
	case !named:
		return fmt.Errorf("the caller does not name its protocol: %w", ErrVersionSkew)
	}
	if s == nil {
		return nil
	}
	if r.TLS != nil {
		if err := s.named(r.TLS.PeerCertificates); err != nil {
			return err
		}
	}
	if want := r.Header.Get(headerNode); want != "" && want != s.Node.String() {
		return fmt.Errorf("the caller expects node %s, this agent has node %s: %w", want, s.Node, ErrWrongNode)
	}
	want := r.Header.Get(headerSystem)
	if want == "" || s.System == nil || !slices.Contains(orders, path.Base(r.URL.Path)) {
		return nil
	}
	if own := s.System(); own != 0 && own.String() != want {
		return fmt.Errorf("the caller's pool has system identifier %s, this agent's data directory has %s: %w",
			want, own, ErrForeignSystem)
	}
	return nil
}

// named says why the certificate of a TLS caller does not let it in. The chain
// was verified when the connection was made, which may be long ago.
func (s *Self) named(chain []*x509.Certificate) error {
	if len(chain) == 0 || s.Controllers == nil {
		return fmt.Errorf("the caller has no certificate: %w", ErrNotAllowed)
	}
	cert := chain[0]
	if now := time.Now(); now.After(cert.NotAfter) {
		return fmt.Errorf("the caller's certificate expired on %s: %w",
			cert.NotAfter.UTC().Format(time.DateOnly), ErrNotAllowed)
	}
	names := append(slices.Clone(cert.DNSNames), cert.Subject.CommonName)
	for _, n := range s.Controllers() {
		if n != "" && slices.Contains(names, n) {
			return nil
		}
	}
	return fmt.Errorf("the caller's certificate is for %q, which this agent's list of controllers does not have: %w",
		names, ErrNotAllowed)
}

// handshake tells an agent which one is expected, and checks which one answers.
type handshake struct {
	next   http.RoundTripper
	expect *Expect
}

// CloseIdleConnections lets http.Client reach the transport below.
func (h *handshake) CloseIdleConnections() {
	if c, ok := h.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (h *handshake) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(headerProtocol, strconv.Itoa(Protocol))
	if e := h.expect; e != nil {
		r.Header.Set(headerNode, e.Node.String())
		r.Header.Set(headerVersion, e.Version)
		if e.Controller {
			r.Header.Set(headerCaller, controllerCalls)
		}
		if e.System != nil {
			if id := e.System(); id != 0 {
				r.Header.Set(headerSystem, id.String())
			}
		}
	}
	resp, err := h.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := h.accept(resp); err != nil {
		_ = resp.Body.Close() // it is not used
		return nil, err
	}
	return resp, nil
}

// accept says why a response is not used.
func (h *handshake) accept(resp *http.Response) error {
	switch named, err := skew("the agent", resp.Header); {
	case err != nil:
		return err
	case !named:
		return errNotAgent
	}
	if got := resp.Header.Get(headerNode); h.expect != nil && got != "" && got != h.expect.Node.String() {
		return fmt.Errorf("the agent has node %s, expected node %s: %w", got, h.expect.Node, ErrWrongNode)
	}
	return nil
}
