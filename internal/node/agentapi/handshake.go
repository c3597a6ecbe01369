package agentapi

import (
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

// firstProtocol is what a peer speaks that names no protocol.
const firstProtocol = 1

// Headers of the handshake, on each request and answer. A connection may be
// used for hours and the far side replaced meanwhile, so nothing is remembered.
const (
	headerProtocol = "Repool-Protocol"
	headerVersion  = "Repool-Version"
	headerNode     = "Repool-Node"
	headerSystem   = "Repool-System"
	headerCaller   = "Repool-Caller"
)

// Expect is what a caller knows of the agent that it means. nil: nothing.
type Expect struct {
	// Node is the node that the agent must have.
	Node topology.NodeID
	// System is the pool's system identifier, 0 while it is not known; nil: never
	// known. An agent with another cluster's data refuses every order.
	System func() topology.SystemID
	// Version is the caller's own, for the agent's log.
	Version string
	// Controller: the caller is a controller at its work, and not a person's
	// command: an agent that hears of none may take itself for cut off.
	Controller bool
}

// Self is what an agent knows of itself, and whom it serves. nil in NewHandler:
// everybody who can reach it, whatever node they mean.
type Self struct {
	Node    topology.NodeID
	Version string
	// System is the system identifier of the data directory, 0 when there is none.
	System func() topology.SystemID
	// Controllers are the names of which a caller's certificate must have one.
	// It is asked with each call that came over TLS; nil: TLS is not served.
	Controllers func() []string
	// Heard is called with each call of a controller; nil: nobody wants to know.
	Heard func()
}

// controllerCalls is what a controller says of itself in headerCaller.
const controllerCalls = "controller"

// understood says whether the two sides' protocols are at most one apart.
func understood(far int) bool { return far >= Protocol-1 && far <= Protocol+1 }

func protocolOf(h http.Header) int {
	n, err := strconv.Atoi(h.Get(headerProtocol))
	if err != nil {
		return firstProtocol
	}
	return n
}

// guard lets in whom the handshake allows, and tells who we are.
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
				w.Header().Set("Connection", "close") // the next one may have a better certificate
			}
			_ = refuse.Write(w, r, wireError(err)) // a caller that has gone needs no answer
			return
		}
		if s != nil && s.Heard != nil && r.Header.Get(headerCaller) == controllerCalls {
			s.Heard()
		}
		next.ServeHTTP(w, r)
	})
}

// admit says why a request is not served.
func (s *Self) admit(r *http.Request) error {
	if far := protocolOf(r.Header); !understood(far) {
		return fmt.Errorf("the caller (repool %s) speaks protocol %d, this agent speaks %d and understands %d to %d: upgrade the older of the two: %w",
			orUnknown(r.Header.Get(headerVersion)), far, Protocol, Protocol-1, Protocol+1, ErrVersionSkew)
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
		return fmt.Errorf("the caller means node %s, this agent has node %s: %w", want, s.Node, ErrWrongNode)
	}
	want := r.Header.Get(headerSystem)
	if want == "" || s.System == nil || !slices.Contains(orders, path.Base(r.URL.Path)) {
		return nil
	}
	if own := s.System(); own != 0 && own.String() != want {
		return fmt.Errorf("the caller's pool has system identifier %s, the data of this agent have %s: they are another cluster's: %w", want, own, ErrForeignSystem)
	}
	return nil
}

// named says why the certificate of a TLS caller does not let it in. The chain
// was verified when the connection was made; that may be long ago.
func (s *Self) named(chain []*x509.Certificate) error {
	if len(chain) == 0 || s.Controllers == nil {
		return fmt.Errorf("a caller without a certificate: %w", ErrNotAllowed)
	}
	cert := chain[0]
	if now := time.Now(); now.After(cert.NotAfter) {
		return fmt.Errorf("the caller's certificate has expired on %s: %w", cert.NotAfter.UTC().Format(time.DateOnly), ErrNotAllowed)
	}
	names := append(slices.Clone(cert.DNSNames), cert.Subject.CommonName)
	for _, n := range s.Controllers() {
		if n != "" && slices.Contains(names, n) {
			return nil
		}
	}
	return fmt.Errorf("the caller's certificate is for %q, and none of that is among this agent's controllers: %w", names, ErrNotAllowed)
}

func orUnknown(s string) string {
	if s == "" {
		return "of an unknown version"
	}
	return s
}

// handshake tells a far agent whom we mean, and looks at what answers.
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
		_ = resp.Body.Close() // nothing of it is believed
		return nil, err
	}
	return resp, nil
}

// accept says why an answer is not believed.
func (h *handshake) accept(resp *http.Response) error {
	if far := protocolOf(resp.Header); !understood(far) {
		return fmt.Errorf("the agent (repool %s) speaks protocol %d, this program speaks %d and understands %d to %d: upgrade the older of the two: %w",
			orUnknown(resp.Header.Get(headerVersion)), far, Protocol, Protocol-1, Protocol+1, ErrVersionSkew)
	}
	if got := resp.Header.Get(headerNode); h.expect != nil && got != "" && got != h.expect.Node.String() {
		return fmt.Errorf("the agent has node %s, node %s was meant: %w", got, h.expect.Node, ErrWrongNode)
	}
	return nil
}
