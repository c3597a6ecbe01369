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

// Role says what a certificate is for.
type Role string

// The roles.
const (
	Controller Role = "controller" // for clients: it gives orders to agents
	Agent      Role = "agent"      // for servers
)

// Names of the authority's files in its directory.
const (
	caCert = "ca.crt"
	caKey  = "ca.key"
)

// The default lifetimes.
const (
	DefaultCALife = 10 * 365 * 24 * time.Hour
	DefaultLife   = 365 * 24 * time.Hour
)

// skew is how far the clocks of two hosts may differ: certificates begin earlier.
const skew = 5 * time.Minute

// Request says what to issue.
type Request struct {
	Role Role
	// Name is the common name, and the name of the files. Hosts are further DNS names
	// and addresses of the server.
	Name  string
	Hosts []string
	// Life is the time from now until it expires; zero: DefaultLife.
	Life time.Duration
}

// Paths are the two files of a certificate.
type Paths struct{ Cert, Key string }

// Init creates an authority in dir. It never replaces one.
func Init(dir, name string, life time.Duration) (Paths, error) {
	out := Paths{filepath.Join(dir, caCert), filepath.Join(dir, caKey)}
	for _, p := range []string{out.Cert, out.Key} {
		if _, err := os.Lstat(p); err == nil {
			return out, fmt.Errorf("%s already exists: an authority is never replaced, "+
				"because every certificate depends on it", p)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return out, fmt.Errorf("create the authority's directory: %w", err)
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
		return out, fmt.Errorf("create a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return out, fmt.Errorf("create the authority's certificate: %w", err)
	}
	return out, write(out, der, key)
}

// Issue creates a certificate from the authority in dir, in the same directory.
func Issue(dir string, r Request) (Paths, error) {
	if err := r.check(); err != nil {
		return Paths{}, err
	}
	out := Paths{filepath.Join(dir, r.Name+".crt"), filepath.Join(dir, r.Name+".key")}
	if _, err := os.Lstat(out.Cert); err == nil {
		return out, fmt.Errorf("%s already exists: use repool certs renew to replace it", out.Cert)
	}
	return out, issue(dir, out, r)
}

// Renew replaces the certificate at path with one from the authority in dir: same
// role, names and lifetime, another key.
func Renew(dir, path string, life time.Duration) (Paths, error) {
	old, err := Read(path)
	if err != nil {
		return Paths{}, err
	}
	if old.IsCA {
		return Paths{}, errors.New("an authority cannot be renewed: create a new one in another directory, " +
			"trust both (ca may hold several certificates), and issue new certificates from it")
	}
	r := Request{Role: roleOf(old), Name: old.Subject.CommonName, Life: life}
	if r.Role == "" {
		return Paths{}, fmt.Errorf("%s is neither a controller's certificate nor an agent's: renew it where it was issued",
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
		return fmt.Errorf("role %q: must be %s or %s", r.Role, Controller, Agent)
	case r.Name == "" || strings.ContainsAny(r.Name, "/\x00 ") || strings.HasPrefix(r.Name, "-") ||
		strings.HasPrefix(r.Name, ".") || r.Name == "ca":
		return fmt.Errorf("name %q: must be a host name", r.Name)
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
		return fmt.Errorf("create a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), signer)
	if err != nil {
		return fmt.Errorf("create the certificate of %s: %w", r.Name, err)
	}
	return write(out, der, key)
}

// roleOf is empty for a certificate that repool did not issue.
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
		return nil, fmt.Errorf("create a serial number: %w", err)
	}
	return n, nil
}
