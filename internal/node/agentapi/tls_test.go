package agentapi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/node/agentapi"
)

func TestOnlyNamedControllersAreServed(t *testing.T) {
	t.Parallel()
	dir, controller, own := sides(t)
	_, addr := served(t, newFake(t), controllers("pgpool2", "pgpool3"), own.Server)
	refusedWith(t, closing(t, agentapi.DialTLS(addr, controller.Client, nil)), agentapi.ErrNotAllowed, "agent-not-allowed")
	p, err := certs.Issue(dir, certs.Request{Role: certs.Controller, Name: "pgpool3"})
	if err != nil {
		t.Fatal(err)
	}
	named := &certs.Files{CA: controller.CA, Cert: p.Cert, Key: p.Key}
	a := closing(t, agentapi.DialTLS(addr, named.Client, nil))
	if _, until := agentapi.Peer(a); !until.IsZero() {
		t.Errorf("a certificate before the first call, until %s", until)
	}
	if _, err := a.Inspect(t.Context()); err != nil {
		t.Errorf("a named controller: %v", err)
	}
	shown, err := certs.Read(own.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if name, until := agentapi.Peer(a); name != shown.Subject.CommonName || !until.Equal(shown.NotAfter) {
		t.Errorf("the agent's certificate: %q until %s, want %q until %s",
			name, until, shown.Subject.CommonName, shown.NotAfter)
	}
}

// A caller that says it does not use TLS, over TLS, is asked for its name too.
func TestSchemeIsNotBelieved(t *testing.T) {
	t.Parallel()
	_, controller, own := sides(t)
	_, addr := served(t, newFake(t), controllers("somebody else"), own.Server)
	conf, err := controller.Client()
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"http", "https"} {
		conf := conf.Clone()
		conf.NextProtos, conf.ServerName = []string{"h2"}, "127.0.0.1"
		dial := func(context.Context, string, string) (net.Conn, error) { return tls.Dial("tcp", addr, conf) }
		var protocols http.Protocols
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
		tr := &http.Transport{Protocols: &protocols, DialContext: dial, DialTLSContext: dial}
		defer tr.CloseIdleConnections()
		url := scheme + "://" + addr + "/repool.agent.v1.AgentService/Inspect"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Repool-Protocol", fmt.Sprint(agentapi.Protocol))
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK || !strings.Contains(string(text), "list of controllers does not have") {
			t.Errorf("%s: %s %s", scheme, resp.Status, text)
		}
	}
}

func TestCertificatesThatAreNotAccepted(t *testing.T) {
	t.Parallel()
	_, controller, own := sides(t)
	_, stranger, strange := sides(t)
	_, addr := served(t, newFake(t), controllers("pgpool1"), own.Server)
	_, foreign := served(t, newFake(t), controllers("pgpool1"), strange.Server)
	missing := &certs.Files{CA: "/nowhere", Cert: "/nowhere", Key: "/nowhere"}
	for name, a := range map[string]agentapi.Agent{
		"of another authority":       agentapi.DialTLS(addr, stranger.Client, nil),
		"an agent of another one":    agentapi.DialTLS(foreign, controller.Client, nil),
		"an agent's in a controller": agentapi.DialTLS(addr, own.Client, nil),
		"one that cannot be read":    agentapi.DialTLS(addr, missing.Client, nil),
		"of an agent of another name": agentapi.DialTLS(
			strings.Replace(addr, "127.0.0.1", "localhost", 1), controller.Client, nil),
		"none, by a plain connection ": closing(t, agentapi.DialTLS(addr, func() (*tls.Config, error) {
			c, err := controller.Client()
			c = c.Clone()
			c.Certificates = nil
			return c, err
		}, nil)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusedWith(t, closing(t, a), agentapi.ErrCertificate, "agent-certificate")
		})
	}
}

// A certificate that expires while its connection is open serves no more, and
// its renewal does again, without a restart of either side.
func TestCertificateExpiresAndIsRenewed(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"controller", "agent"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			dir, controller, own := sides(t)
			short, want := controller, agentapi.ErrNotAllowed
			if side == "agent" {
				short, want = own, agentapi.ErrCertificate
			}
			if _, err := certs.Renew(dir, short.Cert, 2*time.Second); err != nil {
				t.Fatal(err)
			}
			_, addr := served(t, newFake(t), controllers("pgpool1"), own.Server)
			a := closing(t, agentapi.DialTLS(addr, controller.Client, nil))
			if _, err := a.Inspect(t.Context()); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(20 * time.Second)
			for {
				_, err := a.Inspect(t.Context())
				if err != nil {
					if !errors.Is(err, want) && !errors.Is(err, agentapi.ErrCertificate) {
						t.Errorf("after it expired: %v", err)
					}
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("an expired certificate is served")
				}
			}
			if _, err := certs.Renew(dir, short.Cert, time.Hour); err != nil {
				t.Fatal(err)
			}
			for {
				_, err := a.Inspect(t.Context())
				if err == nil {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("after the renewal: %v", err)
				}
			}
		})
	}
}
