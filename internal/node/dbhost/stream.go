package dbhost

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// localTimeout bounds one local question to the server.
const localTimeout = 5 * time.Second

// upstreamSession is a connection to the upstream.
var upstreamSession = postgres.Session{App: "repool agent", Connect: 10 * time.Second}

// localConfig is how the node's own server is reached.
func (h *Host) localConfig() (*pgx.ConnConfig, error) {
	host, port, err := h.localAddress()
	if err != nil {
		return nil, err
	}
	return h.o.Database.Config(host, port, postgres.Session{App: "repool agent", Connect: localTimeout})
}

// accepts says whether the server takes connections: a refused login is an
// answer too, "the database system is starting up" is not.
func (h *Host) accepts(ctx context.Context) bool {
	conf, err := h.localConfig()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	conn, err := postgres.Connect(ctx, conf)
	if err == nil {
		_ = conn.Close(ctx) // it answered: that was all we wanted
		return true
	}
	state := postgres.SQLState(err)
	return state != "" && state != postgres.CannotConnectNow
}

// Stream asks the running server, over a local connection, whether and from
// where it streams. Timeline is the WAL receiver's where there is one.
func (h *Host) Stream(ctx context.Context) (topology.SQLFacts, error) {
	conf, err := h.localConfig()
	if err != nil {
		return topology.SQLFacts{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	var f topology.SQLFacts
	err = h.conns.With(ctx, conf, false, func(conn *pgx.Conn) (err error) {
		f, err = postgres.Identify(ctx, conn, postgres.More{})
		return err
	})
	if err != nil {
		return topology.SQLFacts{}, fmt.Errorf("the node's own server: %w", err)
	}
	f.At = time.Now()
	return f, nil
}
