package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Role says what a certificate is good for.
type Role string

// The roles.
const (
	Controller Role = "controller" // a client's: it gives orders to agents
	Agent      Role = "agent"      // a server's
)

// Names of the authority's files in its directory.
const (
	caCert = "ca.crt"
	caKey  = "ca.key"
)

// Lifetimes, where none is asked for.
const (
	DefaultCALife = 10 * 365 * 24 * time.Hour
	DefaultLife   = 365 * 24 * time.Hour
)

// skew is how far clocks of two hosts may be apart: certificates begin earlier.
const skew = 5 * time.Minute

// Request says what to issue.
type Request struct {
	Role Role
	// Name is the certificate's own, and the name of its files. Hosts are further
	// DNS names and addresses that a server answers under.
	Name  string
	Hosts []string
	// Life is the time from now until it expires; zero: DefaultLife.
	Life time.Duration
}

// Paths are the two files of a certificate.
type Paths struct{ Cert, Key string }

// Init makes an authority in dir. It never replaces one.
func Init(dir, name string, life time.Duration) (Paths, error) {
	out := Paths{filepath.Join(dir, caCert), filepath.Join(dir, caKey)}
	for _, p := range []string{out.Cert, out.Key} {
		if _, err := os.Lstat(p); err == nil {
			return out, fmt.Errorf("%s already exists: an authority is never replaced, "+
				"because every certificate depends on it", p)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return out, fmt.Errorf("make the authority's directory: %w", err)
	}
	if life <= 0 {
		life = DefaultCALife
	}
	now := time.Now()
	serial, err := serialNumber()
	if err != nil {
		return out, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-skew), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return out, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return out, fmt.Errorf("make the authority's certificate: %w", err)
	}
	return out, write(out, der, key)
}

// Issue makes a certificate with the authority in dir, beside it.
func Issue(dir string, r Request) (Paths, error) {
	if err := r.check(); err != nil {
		return Paths{}, err
	}
	out := Paths{filepath.Join(dir, r.Name+".crt"), filepath.Join(dir, r.Name+".key")}
	if _, err := os.Lstat(out.Cert); err == nil {
		return out, fmt.Errorf("%s is there already: repool certs renew makes it anew", out.Cert)
	}
	return out, issue(dir, out, r)
}

// Renew makes the certificate at path anew with the authority in dir: same role,
// names and lifetime, another key.
func Renew(dir, path string, life time.Duration) (Paths, error) {
	old, err := Read(path)
	if err != nil {
		return Paths{}, err
	}
	if old.IsCA {
		return Paths{}, errors.New("an authority is not renewed: make a new one in another directory, trust both (ca may " +
			"hold several certificates), and issue anew")
	}
	r := Request{Role: roleOf(old), Name: old.Subject.CommonName, Life: life}
	if r.Role == "" {
		return Paths{}, fmt.Errorf("%s is neither a controller's certificate nor an agent's: renew it where it was made",
			path)
	}
	for _, n := range old.DNSNames {
		if n != r.Name {
			r.Hosts = append(r.Hosts, n)
		}
	}
	for _, ip := range old.IPAddresses {
		r.Hosts = append(r.Hosts, ip.String())
	}
	if r.Life <= 0 {
		r.Life = old.NotAfter.Sub(old.NotBefore) - skew
	}
	out := Paths{path, strings.TrimSuffix(path, filepath.Ext(path)) + ".key"}
	return out, issue(dir, out, r)
}

func (r Request) check() error {
	switch {
	case r.Role != Controller && r.Role != Agent:
		return fmt.Errorf("role %q: want %s or %s", r.Role, Controller, Agent)
	case r.Name == "" || strings.ContainsAny(r.Name, "/\x00 ") || strings.HasPrefix(r.Name, "-") ||
		strings.HasPrefix(r.Name, ".") || r.Name == "ca":
		return fmt.Errorf("name %q: want a host's name", r.Name)
	}
	return nil
}

func issue(dir string, out Paths, r Request) error {
	ca, signer, err := readAuthority(dir)
	if err != nil {
		return err
	}
	if r.Life <= 0 {
		r.Life = DefaultLife
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: r.Name}, NotBefore: now.Add(-skew), NotAfter: now.Add(r.Life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if r.Role == Controller {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, h := range append([]string{r.Name}, r.Hosts...) {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	if c.NotAfter.After(ca.NotAfter) {
		c.NotAfter = ca.NotAfter
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), signer)
	if err != nil {
		return fmt.Errorf("make the certificate of %s: %w", r.Name, err)
	}
	return write(out, der, key)
}

// roleOf is empty for a certificate that repool has not made.
func roleOf(c *x509.Certificate) Role {
	if len(c.ExtKeyUsage) != 1 {
		return ""
	}
	switch c.ExtKeyUsage[0] {
	case x509.ExtKeyUsageClientAuth:
		return Controller
	case x509.ExtKeyUsageServerAuth:
		return Agent
	default:
		return ""
	}
}

func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return n, nil
}
