package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

const certType = "CERTIFICATE"

// write replaces both files, the key first: a reader that finds the new key with the
// old certificate keeps what it had, see Files.
func write(p Paths, der []byte, key *ecdsa.PrivateKey) error {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	if err := renameio.WriteFile(p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY",
		Bytes: k}), 0o600, renameio.WithStaticPermissions(0o600)); err != nil {
		return fmt.Errorf("write %s: %w", p.Key, err)
	}
	if err := renameio.WriteFile(p.Cert, pem.EncodeToMemory(&pem.Block{Type: certType,
		Bytes: der}), 0o644, renameio.WithStaticPermissions(0o644)); err != nil {
		return fmt.Errorf("write %s: %w", p.Cert, err)
	}
	return nil
}

// Read reads the first certificate of a file.
func Read(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certType {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s: %w", path, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("read certificate %s: the file contains none", path)
}

func readAuthority(dir string) (*x509.Certificate, crypto.PrivateKey, error) {
	p := Paths{filepath.Join(dir, caCert), filepath.Join(dir, caKey)}
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("read the authority in %s (repool certs init creates one): %w", dir, err)
	}
	if !pair.Leaf.IsCA {
		return nil, nil, errors.New(p.Cert + " is not an authority's certificate")
	}
	return pair.Leaf, pair.PrivateKey, nil
}
