package setup

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
)

// secret is a password. It prints as ***.
type secret struct{ clear string }

// String keeps a secret out of messages.
func (secret) String() string { return "***" }

// Format makes every verb of fmt print String.
func (s secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

func (s secret) known() bool { return s.clear != "" }

// newSecret makes a password of 160 random bits, in characters that need no escaping.
func newSecret() (secret, error) {
	var b [20]byte
	if _, err := rand.Read(b[:]); err != nil {
		return secret{}, fmt.Errorf("make a password: %w", err)
	}
	return secret{clear: hex.EncodeToString(b[:])}, nil
}

// scramIterations is PostgreSQL's own default.
const scramIterations = 4096

// scramVerifier is what PostgreSQL stores for a password, so that the password
// itself never reaches the server's log (RFC 5803, as in pg_authid).
func scramVerifier(s secret) (string, error) {
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, s.clear, salt[:], scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, b64(salt[:]), b64(stored[:]),
		b64(mac("Server Key"))), nil
}

// pcpHash is what pcp.conf stores for a password.
func pcpHash(s secret) string {
	sum := md5.Sum([]byte(s.clear)) // Pgpool-II knows no other hash
	return hex.EncodeToString(sum[:])
}
