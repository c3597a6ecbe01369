package agentapi

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns the HTTP server for an agent's listeners: a unix socket for
// programs on this host and `repool agent --stdio`, and TLS unless conf is nil.
// conf is called for each connection.
func NewServer(a Agent, self *Self, conf func() (*tls.Config, error), log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(NewHandler(a, self))
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           mux,
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWait},
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn), // failed TLS handshakes
	}
	if conf != nil {
		protos := []string{"h2", "http/1.1"}
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protos,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				c, err := conf()
				if err != nil {
					return nil, err
				}
				c = c.Clone()
				c.MinVersion, c.NextProtos, c.ClientAuth = tls.VersionTLS13, protos, tls.RequireAndVerifyClientCert
				return c, nil
			},
			// http.Server demands one; it is never used.
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoCertificate },
		}
	}
	return srv
}
