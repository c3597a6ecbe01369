package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// listener accepts connections and hands each to serve.
func listener(t *testing.T, serve func(net.Conn)) (host string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	return "127.0.0.1", l.Addr().(*net.TCPAddr).Port
}

// refuses is a server that answers a login with an error.
func refuses(code, message string) func(net.Conn) {
	return func(c net.Conn) {
		b := pgproto3.NewBackend(c, c)
		if m, err := b.ReceiveStartupMessage(); err != nil {
			return
		} else if _, ok := m.(*pgproto3.SSLRequest); ok {
			if _, err := c.Write([]byte("N")); err != nil {
				return
			}
			if _, err := b.ReceiveStartupMessage(); err != nil {
				return
			}
		}
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message})
		_ = b.Flush() // whoever is gone does not need it
	}
}

// TestConnectError: one sentence with the address, the role and the cause, each
// once, and never the password.
func TestConnectError(t *testing.T) {
	t.Parallel()
	connect := func(ctx context.Context, host string, port int, timeout time.Duration) error {
		conf, err := Login{User: "repool"}.Config(host, port, Session{Connect: timeout})
		if err != nil {
			t.Fatal(err)
		}
		conf.Password = "hunter2"
		conn, err := Connect(ctx, conf)
		if err == nil {
			_ = conn.Close(ctx)
			t.Fatal("connected")
		}
		return err
	}
	is := func(err error, want string) {
		t.Helper()
		var c *ConnectError
		if !errors.As(err, &c) || err.Error() != want || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}

	dir := t.TempDir()
	err := connect(t.Context(), dir, 5432, 0)
	is(err, "connect to "+dir+"/.s.PGSQL.5432 as repool: there is no such socket")
	if !Refused(err) || !Unreached(err) {
		t.Error("no socket does not count as refused")
	}

	// Closed unread, the startup message would be answered by a reset.
	host, port := listener(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1024)) })
	is(connect(t.Context(), host, port, 0), "connect to "+address(host, port)+
		" as repool: the server closed the connection")

	host, port = listener(t, refuses(CannotConnectNow, "the database system is starting up"))
	err = connect(t.Context(), host, port, 0)
	is(err, "connect to "+address(host, port)+" as repool: the database system is starting up")
	if !Refused(err) || SQLState(err) != CannotConnectNow {
		t.Errorf("starting up: refused %v, code %s", Refused(err), SQLState(err))
	}

	host, port = listener(t, refuses(InvalidPassword, `password authentication failed for user "repool"`))
	err = connect(t.Context(), host, port, 0)
	is(err, "connect to "+address(host, port)+` as repool: password authentication failed for user "repool"`)
	if Refused(err) || Unreached(err) || SQLState(err) != InvalidPassword {
		t.Errorf("a wrong password: refused %v, code %s", Refused(err), SQLState(err))
	}

	host, port = listener(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1)) // takes the login in, and then waits for it to end
		_, _ = c.Read(make([]byte, 1<<16))
		_, _ = c.Read(make([]byte, 1))
	})
	err = connect(t.Context(), host, port, 50*time.Millisecond)
	is(err, "connect to "+address(host, port)+" as repool: no answer in time")
	if Refused(err) || !Unreached(err) {
		t.Error("silence counts as refused, or as an answer")
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = connect(t.Context(), "127.0.0.1", port, 0)
	is(err, "connect to "+address("127.0.0.1", port)+" as repool: connection refused")
	if !Refused(err) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error("a closed port does not count as refused")
	}

	resolve := &net.DNSError{Name: "db9", Err: "no such host"}
	if !Unreached(&ConnectError{Err: resolve}) || Unreached(nil) {
		t.Error("a name that cannot be resolved counts as an answer")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	is(connect(ctx, "127.0.0.1", port, 0), "connect to "+address("127.0.0.1", port)+" as repool: cancelled")
}

// TestConfigErrorIsOneSentence: without the connection string, but with the file
// that is missing.
func TestConfigErrorIsOneSentence(t *testing.T) {
	for mode, part := range map[string]string{"sometimes": "sslmode", "verify-full": "/nowhere/ca.crt"} {
		if mode == "verify-full" {
			t.Setenv("PGSSLROOTCERT", "/nowhere/ca.crt")
		} else {
			t.Setenv("PGSSLROOTCERT", "")
		}
		_, err := Login{User: "repool", SSLMode: mode}.Config("10.0.0.1", 5432, Session{})
		if err == nil || strings.Contains(err.Error(), "dbname") || strings.Contains(err.Error(), "`") ||
			!strings.HasPrefix(err.Error(), "connect to 10.0.0.1:5432 as repool: ") || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v", mode, err)
		}
	}
}
