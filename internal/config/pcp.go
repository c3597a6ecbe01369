package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/pgpool/pgpoolconf"
	"github.com/repool/repool/pcp"
)

// resolved fills in what is missing from pgpool.conf; pool is nil for a peer.
func (p PCP) resolved(pool *pgpoolconf.Pool) PCP {
	if pool != nil {
		orText(&p.Host, pool.PCP.SocketDir)
		if p.Port == 0 {
			p.Port = pool.PCP.Port
		}
	}
	if p.Port == 0 {
		p.Port = pcp.DefaultPort
	}
	orText(&p.Passfile, pcp.DefaultPassFile())
	return p
}

// PassHost is the host as written in .pcppass: localhost for the socket directory
// that is compiled into Pgpool-II's clients.
func (p PCP) PassHost() string {
	switch strings.TrimRight(p.Host, "/") {
	case "", "/var/run/postgresql", "/run/postgresql":
		return "localhost"
	}
	return p.Host
}

// Name is the address for people: "host:port", or the path of the socket.
func (p PCP) Name() string { return pcp.Config{Host: p.Host, Port: p.Port}.Addr() }

// Config looks up the password and returns what pcp needs to log in. The error
// wraps pcp.ErrNoPassword if there is none.
func (p PCP) Config() (pcp.Config, error) {
	if p.Passfile == "" {
		return pcp.Config{}, fmt.Errorf("log in to Pgpool-II at %s: %w", p.Name(), errNoHome)
	}
	password, err := pcp.LookupPassword(p.Passfile, p.PassHost(), strconv.Itoa(p.Port), p.User, false)
	if err != nil {
		return pcp.Config{}, fmt.Errorf("log in to Pgpool-II at %s as %s: %w", p.Name(), p.User, err)
	}
	return pcp.Config{Host: p.Host, Port: p.Port, User: p.User, Password: password, Timeout: p.Timeout}, nil
}
