package config

import (
	"strings"
	"testing"
)

// TestLoginNeverCrossesANetworkUnencrypted, and a wrong hash is reported.
func TestLoginNeverCrossesANetworkUnencrypted(t *testing.T) {
	t.Parallel()
	const hash = "password_hash: \"$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW\""
	for name, c := range map[string]struct{ listen, page, want string }{
		"on this host":        {"127.0.0.1:9899", hash, ""},
		"on this host, IPv6":  {"'[::1]:9899'", hash, ""},
		"by name":             {"localhost:9899", "token_file: /etc/repool/token", ""},
		"only shown":          {"0.0.0.0:9899", "", ""},
		"on every address":    {"0.0.0.0:9899", hash, "unencrypted"},
		"no address said":     {"':9899'", hash, "unencrypted"},
		"on a network":        {"10.0.0.7:9899", "token_file: /etc/repool/token", "unencrypted"},
		"by another name":     {"pgpool.example:9899", hash, "unencrypted"},
		"without a page":      {"", hash, "there is no page"},
		"a password, no hash": {"127.0.0.1:9899", "password_hash: secret", "not a bcrypt hash"},
		"cheap to guess at": {"127.0.0.1:9899",
			"password_hash: \"$2a$04$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW\"", "cost is 4"},
		"a relative path": {"127.0.0.1:9899", "token_file: token", "absolute path"},
	} {
		text := "page:\n  " + c.page + "\n"
		if c.page == "" {
			text = ""
		}
		if c.listen != "" {
			text += "controller:\n  listen: " + c.listen + "\n"
		}
		_, err := Bytes("repool.yaml", []byte(text))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the message shows what was written: %v", name, err)
		}
	}
}
