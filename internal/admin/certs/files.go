package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Files are the three files of one side: whom it trusts, and who it is. Its
// methods may be called from several goroutines.
type Files struct {
	// CA may hold several certificates, one after the other.
	CA, Cert, Key string

	mu     sync.Mutex
	loaded *tls.Config
	stamps [3]stamp
}

// stamp shows whether a file has changed: a replaced one has another size or time.
type stamp struct {
	size int64
	time time.Time
}

// Client is the configuration for connecting to an agent. It must not be changed.
func (f *Files) Client() (*tls.Config, error) { return f.load() }

// Server is the configuration of an agent: every client must have a certificate from
// CA. It must not be changed.
func (f *Files) Server() (*tls.Config, error) { return f.load() }

// load rereads the files if they have changed. While that fails, as in the middle of
// a renewal, the previous configuration stays in use.
func (f *Files) load() (*tls.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var now [3]stamp
	for i, path := range []string{f.CA, f.Cert, f.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return f.keep(fmt.Errorf("read certificates: %w", err))
		}
		now[i] = stamp{info.Size(), info.ModTime()}
	}
	if f.loaded != nil && now == f.stamps {
		return f.loaded, nil
	}
	conf, err := f.read()
	if err != nil {
		return f.keep(err)
	}
	f.loaded, f.stamps = conf, now
	return conf, nil
}

func (f *Files) keep(err error) (*tls.Config, error) {
	if f.loaded != nil {
		return f.loaded, nil
	}
	return nil, err
}

func (f *Files) read() (*tls.Config, error) {
	if info, err := os.Stat(f.Key); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read the key %s (mode %04o): chmod 600 it", f.Key, info.Mode().Perm())
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("there is no certificate in " + f.CA)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true, // a resumed session would outlive the certificate it began with
	}, nil
}

// Expiry is when the certificate in a file expires.
type Expiry struct {
	Path     string    `json:"path"`
	Name     string    `json:"name"`
	NotAfter time.Time `json:"not_after"`
}

// Expiries reads the certificates of f: its own and the first of its authority. The
// error joins what could not be read; the others are returned all the same.
func (f *Files) Expiries() ([]Expiry, error) {
	var out []Expiry
	var errs []error
	for _, path := range []string{f.Cert, f.CA} {
		c, err := Read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, Expiry{Path: path, Name: c.Subject.CommonName, NotAfter: c.NotAfter})
	}
	return out, errors.Join(errs...)
}

// State is the state of a certificate: valid, expiring or expired.
type State string

// The states.
const (
	Good    State = "ok"
	Soon    State = "soon"
	Expired State = "expired"
)

// warnBefore leaves time enough to renew without hurry.
const warnBefore = 30 * 24 * time.Hour

// StateAt is the state of a certificate that expires at notAfter.
func StateAt(notAfter, now time.Time) State {
	switch {
	case now.After(notAfter):
		return Expired
	case notAfter.Sub(now) < warnBefore:
		return Soon
	}
	return Good
}

// Use says what a certificate is for.
func Use(c *x509.Certificate) string {
	if c.IsCA {
		return "authority"
	}
	if r := roleOf(c); r != "" {
		return string(r)
	}
	return "other"
}
