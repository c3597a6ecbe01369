package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/repool/repool/internal/pgpool/pgpoolconf"
	"github.com/repool/repool/pcp"
)

// Endpoint is the PCP port of one Pgpool-II and the user to log in as. It holds no
// password.
type Endpoint struct {
	// Host is a name, an address, or the directory of the unix socket.
	Host     string
	Port     int
	User     string
	Passfile string
	Timeout  time.Duration
}

// endpoint fills in what is missing from pgpool.conf; pool is nil for a peer.
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
	return e
}

// PassHost is the host as written in .pcppass: localhost for the socket directory
// that is compiled into Pgpool-II's clients.
func (e Endpoint) PassHost() string {
	switch strings.TrimRight(e.Host, "/") {
	case "", "/var/run/postgresql", "/run/postgresql":
		return "localhost"
	}
	return e.Host
}

// Name is the endpoint for people: "host:port", or the path of the socket.
func (e Endpoint) Name() string { return pcp.Config{Host: e.Host, Port: e.Port}.Addr() }

// Config looks up the password and returns what pcp needs to log in. The error
// wraps pcp.ErrNoPassword if there is none.
func (e Endpoint) Config() (pcp.Config, error) {
	if e.Passfile == "" {
		return pcp.Config{}, fmt.Errorf("log in to Pgpool-II at %s: %w", e.Name(), errNoHome)
	}
	password, err := pcp.LookupPassword(e.Passfile, e.PassHost(), strconv.Itoa(e.Port), e.User, false)
	if err != nil {
		return pcp.Config{}, fmt.Errorf("log in to Pgpool-II at %s as %s: %w", e.Name(), e.User, err)
	}
	return pcp.Config{Host: e.Host, Port: e.Port, User: e.User, Password: password, Timeout: e.Timeout}, nil
}
