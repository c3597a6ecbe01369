package pcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAddr(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"db1:9898":               {Host: "db1"},
		"10.0.0.1:19898":         {Host: "10.0.0.1", Port: 19898},
		"[::1]:9898":             {Host: "::1"},
		"/run/pool/.s.PGSQL.77":  {Host: "/run/pool", Port: 77},
		"/tmp/.s.PGSQL.9898":     {Host: "/tmp/"},
		"/nowhere/.s.PGSQL.9898": {Host: "/nowhere"},
	} {
		if got := cfg.Addr(); got != want {
			t.Errorf("got %s, expected %s", got, want)
		}
	}
	if got := (Config{Port: 65001}).Addr(); got != "/var/run/postgresql/.s.PGSQL.65001" {
		t.Errorf("no host: got %s", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	hash := "e8a48653851e28c69d0506508fb27fc5"
	for name, cfg := range map[string]Config{
		"no user":            {Password: "p"},
		"user too long":      {User: strings.Repeat("u", 128), Password: "p"},
		"zero byte in user":  {User: "a\x00b", Password: "p"},
		"no password":        {User: "u"},
		"both":               {User: "u", Password: "p", PasswordHash: hash},
		"hash with a prefix": {User: "u", PasswordHash: "md5" + hash},
		"hash no hex":        {User: "u", PasswordHash: strings.Repeat("z", 32)},
		"port":               {User: "u", Password: "p", Port: 65536},
	} {
		_, err := Dial(t.Context(), cfg)
		if err == nil || errors.Is(err, ErrNoPassword) != (name == "no password") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := (Config{User: strings.Repeat("u", 127), PasswordHash: hash}).check(); err != nil {
		t.Error(err)
	}
}

// TestPasswordIsNotPrinted tries what programs print a Config with, on its own
// and inside other values.
func TestPasswordIsNotPrinted(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{User: "joe", Password: "hush"}, {User: "joe", PasswordHash: "hush"}} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			fmt.Fprintf(&out, verb+"\n", cfg)
			fmt.Fprintf(&out, verb+"\n", &cfg)
			fmt.Fprintf(&out, verb+"\n", struct{ Pools []Config }{[]Config{cfg}})
		}
		fmt.Fprintln(&out, cfg.String(), cfg.GoString())
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("dial", "pool", cfg, "at", &cfg)
		}
		if err := json.NewEncoder(&out).Encode(cfg); err != nil {
			t.Fatal(err)
		}
		_, err := Dial(t.Context(), cfg)
		fmt.Fprintln(&out, err)
		for _, leak := range []string{"hush", fmt.Sprintf("%x", "hush"), fmt.Sprintf("%X", "hush")} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%q is in:\n%s", leak, out.String())
			}
		}
		if !strings.Contains(out.String(), "joe") {
			t.Error("the user is not shown")
		}
	}
}

// TestDigest is the check vector of a real login.
func TestDigest(t *testing.T) {
	t.Parallel()
	stored := md5Hex([]byte("postgres"))
	if stored != "e8a48653851e28c69d0506508fb27fc5" {
		t.Errorf("stored hash: %s", stored)
	}
	if salted := md5Hex([]byte(stored + "postgres")); salted != "086f471fbe3ab94b73c9798cd7d205b7" {
		t.Errorf("with the user: %s", salted)
	}
	if d := loginDigest(stored, "postgres", []byte("\xf7\xe5\x88\x33")); d != "ad62651b2ea7fc4dfec6cf73ce819826" {
		t.Errorf("digest: %s", d)
	}
}
