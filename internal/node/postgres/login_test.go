package postgres

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestConfig: names with odd characters stay one value, and the session's
// settings are the server's.
func TestConfig(t *testing.T) {
	t.Parallel()
	l := Login{User: `o'b rien\`, DBName: "x y", Passfile: "/nowhere/a b", SSLMode: "disable"}
	c, err := l.Config("/run/my 'pg", 5433, Session{App: "repool test", Connect: 3 * time.Second,
		Statement: 4 * time.Second, Lock: 2 * time.Second, ReadOnly: true, LocalCommit: true})
	if err != nil {
		t.Fatal(err)
	}
	if c.User != l.User || c.Database != l.DBName || c.Host != "/run/my 'pg" || c.Port != 5433 ||
		c.ConnectTimeout != 3*time.Second || c.TLSConfig != nil {
		t.Errorf("%s", c.ConnString())
	}
	for name, want := range map[string]string{"application_name": "repool test", "statement_timeout": "4000",
		"lock_timeout": "2000", "default_transaction_read_only": "on", "synchronous_commit": "local"} {
		if got := c.RuntimeParams[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(c.RuntimeParams) != 5 {
		t.Errorf("settings of the session: %v", c.RuntimeParams)
	}
	if c, err := (Login{User: "x"}).Config("h", 1, Session{}); err != nil || c.Database != "postgres" ||
		c.ConnectTimeout != 0 || len(c.RuntimeParams) != 1 || c.RuntimeParams["application_name"] != "repool" {
		t.Errorf("the defaults: %v, %v", c.RuntimeParams, err)
	}
}

// TestEmptyHost: the driver and PostgreSQL's tools use the same socket, the one
// that is there. A primary_conninfo leaves it to the server's own libpq.
func TestEmptyHost(t *testing.T) {
	t.Parallel()
	packages, source := t.TempDir(), t.TempDir()
	dirs := []string{packages, source}
	if got := socketIn(dirs, 5432); got != packages {
		t.Errorf("no socket anywhere: %s, want the packages' directory %s", got, packages)
	}
	touch := func(dir string) {
		t.Helper()
		if err := os.WriteFile(socketPath(dir, 5432), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	touch(source)
	if got := socketIn(dirs, 5432); got != source {
		t.Errorf("a server built from source: %s, want %s", got, source)
	}
	if got := socketIn(dirs, 5433); got != packages {
		t.Errorf("a socket of another port counts: %s", got)
	}
	touch(packages)
	if got := socketIn(dirs, 5432); got != packages {
		t.Errorf("both: %s, want %s", got, packages)
	}

	l := Login{User: "repl", Passfile: "/p", SSLMode: "require"}
	conf, err := Login{User: "x"}.Config("", 65001, Session{})
	if err != nil {
		t.Fatal(err)
	}
	if host, _ := l.ToolConnInfo("", 65001).Get("host"); host != conf.Host || host != "/var/run/postgresql" {
		t.Errorf("the tools go to %q, the driver to %q", host, conf.Host)
	}
	if got := l.ConnInfo("", 5433).String(); got != "port=5433 user=repl passfile=/p sslmode=require" {
		t.Errorf("primary_conninfo: %s", got)
	}
}

func TestToolConnInfo(t *testing.T) {
	t.Parallel()
	const want = "host=10.0.0.1 port=5432 user=repool connect_timeout=10 keepalives=1 keepalives_idle=10 " +
		"keepalives_interval=5 keepalives_count=4 tcp_user_timeout=30000 dbname=postgres"
	l := Login{User: "repool"}
	if got := l.ToolConnInfo("10.0.0.1", 5432).With("dbname", l.Database()).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if env := l.Environment(); env != nil {
		t.Errorf("environment without a passfile: %v", env)
	}
	l.Passfile = "/p"
	if env := strings.Join(l.Environment(), " "); env != "PGPASSFILE=/p" {
		t.Errorf("environment: %s", env)
	}
}
