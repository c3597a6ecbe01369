package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Login is a PostgreSQL role and how it logs in. The password comes from the
// passfile only.
type Login struct {
	User     string `yaml:"user"`
	DBName   string `yaml:"dbname"`   // empty: "postgres"
	Passfile string `yaml:"passfile"` // empty: libpq's, ~/.pgpass
	SSLMode  string `yaml:"sslmode"`  // empty: libpq's, prefer
}

// socketDirs are the default socket directories that are compiled into libpq:
// the one of the Debian and RHEL packages, and the one of a build from source.
var socketDirs = [...]string{"/var/run/postgresql", "/tmp"}

// SocketHost returns the host to connect to. An empty one means a unix socket on
// this machine: the default socket directory in which there is a socket for the
// port, or the packages' directory where there is none.
func SocketHost(host string, port int) string {
	if host != "" {
		return host
	}
	return socketIn(socketDirs[:], port)
}

func socketIn(dirs []string, port int) string {
	for _, dir := range dirs {
		if _, err := os.Stat(socketPath(dir, port)); err == nil {
			return dir
		}
	}
	return dirs[0]
}

func socketPath(dir string, port int) string {
	return filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
}

// ConnInfo is the connection string for a primary_conninfo. An empty host and a
// zero port are left out: the server's own libpq knows its defaults, and
// Pgpool-II compares the host with backend_hostname letter by letter.
func (l Login) ConnInfo(host string, port int) ConnInfo {
	text := ""
	if port != 0 {
		text = strconv.Itoa(port)
	}
	return ConnInfo{}.add("host", host).add("port", text).
		add("user", l.User).add("passfile", l.Passfile).add("sslmode", l.SSLMode)
}

// ToolConnInfo is the connection string for pg_rewind and pg_basebackup. They
// are sent to the very socket that the driver would use, so that they work on
// the server that was checked before. The kernel watches the connection: a host
// that loses power closes nothing, and a tool that waits for its data would
// wait forever.
func (l Login) ToolConnInfo(host string, port int) ConnInfo {
	return append(l.ConnInfo(SocketHost(host, port), port),
		Param{"connect_timeout", "10"}, Param{"keepalives", "1"}, Param{"keepalives_idle", "10"},
		Param{"keepalives_interval", "5"}, Param{"keepalives_count", "4"}, Param{"tcp_user_timeout", "30000"})
}

// Database is the database that the login connects to.
func (l Login) Database() string {
	if l.DBName == "" {
		return "postgres"
	}
	return l.DBName
}

// Environment lets a program that uses libpq find the password.
func (l Login) Environment() []string {
	if l.Passfile == "" {
		return nil
	}
	return []string{"PGPASSFILE=" + l.Passfile}
}

// Session says how a connection behaves. The zero value is a session called
// "repool" that nothing bounds but the caller's context.
type Session struct {
	App       string        // application_name; empty: "repool"
	Connect   time.Duration // for one attempt to connect; zero: no limit
	Statement time.Duration // statement_timeout; zero: the role's
	Lock      time.Duration // lock_timeout; zero: the role's
	ReadOnly  bool
	// LocalCommit keeps a commit from waiting for synchronous standbys: one of
	// them may be the node that is missing.
	LocalCommit bool
}

// Config is the driver's configuration for a server. Each statement is one round
// trip and leaves nothing prepared.
func (l Login) Config(host string, port int, s Session) (*pgx.ConnConfig, error) {
	if s.App == "" {
		s.App = "repool"
	}
	c := l.ConnInfo(SocketHost(host, port), port).add("dbname", l.Database()).add("application_name", s.App).
		add("target_session_attrs", "any") // whatever PGTARGETSESSIONATTRS says
	if s.Statement > 0 {
		c = c.add("statement_timeout", strconv.FormatInt(s.Statement.Milliseconds(), 10))
	}
	if s.Lock > 0 {
		c = c.add("lock_timeout", strconv.FormatInt(s.Lock.Milliseconds(), 10))
	}
	if s.ReadOnly {
		c = c.add("default_transaction_read_only", "on")
	}
	if s.LocalCommit {
		c = c.add("synchronous_commit", "local")
	}
	conf, err := pgx.ParseConfig(c.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %s as %s: %s", address(host, port), l.User, Cause(err))
	}
	conf.ConnectTimeout = s.Connect
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	return conf, nil
}

// Connect opens a connection. An attempt that failed is a *ConnectError.
func (l Login) Connect(ctx context.Context, host string, port int, s Session) (*pgx.Conn, error) {
	conf, err := l.Config(host, port, s)
	if err != nil {
		return nil, err
	}
	return Connect(ctx, conf)
}
