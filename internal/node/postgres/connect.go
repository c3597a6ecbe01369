package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectError says in one sentence where and as whom a connection failed, and
// why. It wraps the driver's error, whose own text repeats itself for each
// address and each try with and without TLS.
type ConnectError struct {
	Host string
	Port int
	User string
	Err  error
}

func (e *ConnectError) Error() string {
	return "connect to " + address(e.Host, e.Port) + " as " + e.User + ": " + Cause(e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// Connect opens a connection. An attempt that failed is a *ConnectError.
func Connect(ctx context.Context, conf *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, &ConnectError{Host: conf.Host, Port: int(conf.Port), User: conf.User, Err: err}
	}
	return conn, nil
}

// address is a server for people: "host:port", or the path of its socket.
func address(host string, port int) string {
	host = SocketHost(host, port)
	if filepath.IsAbs(host) {
		return socketPath(host, port)
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Cause is what went wrong between us and a server, once and in one line: the
// server's own message where it sent one, otherwise the error at the root.
func Cause(err error) string {
	var pg *pgconn.PgError
	var dns *net.DNSError
	var parse *pgconn.ParseConfigError
	switch {
	case errors.As(err, &pg):
		return pg.Message
	case errors.As(err, &dns):
		return "the host name " + dns.Name + " cannot be resolved: " + dns.Err
	case errors.As(err, &parse):
		_, why, _ := strings.Cut(parse.Error(), "`: ") // after the connection string
		return oneLine(why)
	case errors.Is(err, syscall.ENOENT):
		return "there is no such socket"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	}
	return oneLine(root(err).Error())
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// root is the first error in err's tree that wraps no other.
func root(err error) error {
	for {
		var next error
		switch e := err.(type) { //nolint:errorlint // it walks the tree itself
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		case interface{ Unwrap() []error }:
			if list := e.Unwrap(); len(list) > 0 {
				next = list[0]
			}
		}
		if next == nil {
			return err
		}
		err = next
	}
}

// SQLState is the code of the server's error; empty: it is not the server's.
func SQLState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// The codes that repool acts on.
const (
	InsufficientPrivilege = "42501"
	DuplicateObject       = "42710"
	UndefinedObject       = "42704"
	ObjectInUse           = "55006"
	InvalidPassword       = "28P01"
	AdminShutdown         = "57P01"
	CrashShutdown         = "57P02"
	CannotConnectNow      = "57P03"
)

// Unreached says that no server has answered: its name, the network or its silence
// is in the way. Such an error says nothing of the role or its password.
func Unreached(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case err == nil || SQLState(err) != "":
		return false
	case Refused(err), errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial":
		return true
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// Refused tells a server that certainly accepts no connections now from one that
// is merely silent: nothing listens, or it says itself that it is starting up,
// shutting down or has crashed.
func Refused(err error) bool {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return true
	}
	switch SQLState(err) {
	case AdminShutdown, CrashShutdown, CannotConnectNow:
		return true
	}
	return false
}
