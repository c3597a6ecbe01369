package pcp

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
)

const authenticationOK = "AuthenticationOK"

// login exchanges salt and digest. A salt serves for one attempt, so that a
// refused login ends the connection.
func (c *Conn) login(ctx context.Context, cfg Config) error {
	var salt []byte
	err := c.do(ctx, command{name: "login", tag: 'M', reply: 'm'}, nil, func(payload []byte) (bool, error) {
		if len(payload) != 4 {
			return false, fmt.Errorf("%w: salt of %d bytes instead of 4", ErrProtocol, len(payload))
		}
		salt = payload
		return true, nil
	})
	if err != nil {
		return err
	}
	stored := cfg.PasswordHash
	if stored == "" {
		stored = md5Hex([]byte(cfg.Password))
	}
	payload := terminated(cfg.User, loginDigest(stored, cfg.User, salt))
	return c.do(ctx, command{name: "login", tag: 'R', reply: 'r'}, payload, func(payload []byte) (bool, error) {
		f, err := fields(payload)
		if err != nil || len(f) == 0 || f[0] != authenticationOK {
			return false, fmt.Errorf("%w: login answered with %s", ErrProtocol, excerpt(payload))
		}
		return true, nil
	})
}

// loginDigest is md5(md5(stored || user) || salt), each in hex and used as text;
// stored is the hash in pcp.conf, the md5 of the password.
func loginDigest(stored, user string, salt []byte) string {
	salted := append([]byte(md5Hex([]byte(stored+user))), salt...)
	return md5Hex(salted)
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func isMD5Hex(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == md5.Size
}
