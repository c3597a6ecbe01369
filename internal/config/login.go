package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/pgpool/pgpoolconf"
	"github.com/repool/repool/pcp"
)

// socketDirs are where PostgreSQL's unix socket is looked for when
// backend_hostnameN is empty: Debian's place, then upstream's.
var socketDirs = [...]string{"/var/run/postgresql", "/tmp"}

// Endpoint is one Pgpool-II's PCP and as whom to log in. It holds no password.
type Endpoint struct {
	// Host is a name, an address, or the directory of the unix socket.
	Host     string
	Port     int
	User     string
	Passfile string
	Timeout  time.Duration
	// defaultDir: Host is the socket directory that Pgpool-II's own clients
	// have compiled in, which .pcppass calls localhost.
	defaultDir bool
}

// endpoint fills in what is left out from pgpool.conf; pool is nil for a peer.
func (p PCP) endpoint(pool *pgpoolconf.Pool) Endpoint {
	e := Endpoint{Host: p.Host, Port: p.Port, User: p.User, Passfile: p.Passfile, Timeout: p.Timeout}
	if pool != nil {
		orText(&e.Host, pool.PCP.SocketDir)
		if e.Port == 0 {
			e.Port = pool.PCP.Port
		}
	}
	if e.Port == 0 {
		e.Port = pcp.DefaultPort
	}
	orText(&e.Passfile, pcp.DefaultPassFile())
	e.defaultDir = cleanDir(e.Host) == socketDirs[0] || cleanDir(e.Host) == "/run/postgresql"
	return e
}

// Name is the endpoint for people: "host:port", or the path of the socket.
func (e Endpoint) Name() string { return pcp.Config{Host: e.Host, Port: e.Port}.Addr() }

// Config looks the password up and gives what pcp needs to log in. The error
// wraps pcp.ErrNoPassword when there is none.
func (e Endpoint) Config() (pcp.Config, error) {
	if e.Passfile == "" {
		return pcp.Config{}, fmt.Errorf("log in to Pgpool-II at %s: %w", e.Name(), errNoHome)
	}
	password, err := pcp.LookupPassword(e.Passfile, e.Host, strconv.Itoa(e.Port), e.User, e.defaultDir)
	if err != nil {
		return pcp.Config{}, fmt.Errorf("log in to Pgpool-II at %s as %s: %w", e.Name(), e.User, err)
	}
	return pcp.Config{Host: e.Host, Port: e.Port, User: e.User, Password: password, Timeout: e.Timeout}, nil
}

// SocketHost is host as libpq wants it: an empty one becomes the directory in
// which PostgreSQL's unix socket of that port lies.
func SocketHost(host string, port int) string {
	if host != "" {
		return host
	}
	for _, dir := range socketDirs {
		if _, err := os.Stat(filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))); err == nil {
			return dir
		}
	}
	return socketDirs[0]
}

// ConnConfig is how to connect to a node as this role. The password comes from
// the passfile, or from ~/.pgpass when none is configured. timeout bounds the
// connecting alone; zero: no bound but the context's.
func (l Login) ConnConfig(host string, port int, timeout time.Duration) (*pgx.ConnConfig, error) {
	words := []string{
		"host=" + quote(SocketHost(host, port)), "port=" + strconv.Itoa(port),
		"user=" + quote(l.User), "dbname=" + quote(l.DBName), "application_name=repool",
	}
	if l.SSLMode != "" {
		words = append(words, "sslmode="+quote(l.SSLMode))
	}
	if l.Passfile != "" {
		words = append(words, "passfile="+quote(l.Passfile))
	}
	conf, err := pgx.ParseConfig(strings.Join(words, " "))
	if err != nil {
		return nil, fmt.Errorf("connection to %s:%d as %s: %w", host, port, l.User, err)
	}
	conf.ConnectTimeout = timeout
	return conf, nil
}

// quote makes s one value of a connection string.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
