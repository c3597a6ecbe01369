package observe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// SQLProber asks one PostgreSQL over a connection that it keeps, and replaces when it
// breaks. It connects to the node itself, never through Pgpool-II.
type SQLProber struct {
	conf *pgx.ConnConfig
	// slowEvery is how often settings and database sizes are read.
	slowEvery time.Duration

	// turn has room for one element, put in by whoever uses the fields below.
	turn chan struct{}
	conn *pgx.Conn
	slow slowFacts
}

// NewSQLProber makes a prober for one node. It does not connect.
func NewSQLProber(l postgres.Login, host string, port int) (*SQLProber, error) {
	conf, err := l.Config(host, port, postgres.Session{
		Connect: 3 * time.Second, Statement: statementTimeout, ReadOnly: true,
	})
	if err != nil {
		return nil, err
	}
	return &SQLProber{conf: conf, slowEvery: time.Minute, turn: make(chan struct{}, 1)}, nil
}

// statementTimeout and sizesTimeout bound the server's side. Sizes may be missing.
const (
	statementTimeout = 4 * time.Second
	sizesTimeout     = time.Second
)

// Probe asks for everything in one round trip. The role needs pg_monitor: without it
// PostgreSQL hides WAL receivers and senders, which must not count as "none".
func (p *SQLProber) Probe(ctx context.Context) topology.SQLFacts {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return topology.SQLFacts{Source: topology.Source{At: time.Now(), Err: "a previous query is still running"}}
	}
	defer func() { <-p.turn }()
	kept := p.conn != nil
	f, err := p.probe(ctx)
	if err != nil && kept && p.conn.IsClosed() && ctx.Err() == nil {
		// The kept connection had broken. That says nothing about the server, which
		// should not wait for the next pass.
		p.drop(ctx)
		f, err = p.probe(ctx)
	}
	if err != nil {
		p.drop(ctx)
		f = topology.SQLFacts{Source: topology.Source{Err: oneLine(err)}, Refused: postgres.Refused(err)}
	}
	f.At = time.Now()
	return f
}

// drop ends the connection, so that the next query makes a new one.
func (p *SQLProber) drop(ctx context.Context) {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
	defer cancel()
	_ = p.conn.Close(ctx) // it carries nothing that could be lost
	p.conn = nil
}

// Close ends the connection. It waits for a running query until ctx is done.
func (p *SQLProber) Close(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("close the connection to %s:%d: %w", p.conf.Host, p.conf.Port, ctx.Err())
	}
	defer func() { <-p.turn }()
	if p.conn == nil {
		return nil
	}
	err := p.conn.Close(ctx)
	p.conn = nil
	return err
}

func (p *SQLProber) probe(ctx context.Context) (topology.SQLFacts, error) {
	if p.conn == nil {
		conn, err := postgres.Connect(ctx, p.conf)
		if err != nil {
			return topology.SQLFacts{}, err
		}
		p.conn = conn
		p.slow.settings = nil // it may be another server by now
	}
	f, err := readFacts(ctx, p.conn)
	if err != nil {
		return f, err
	}
	if err := p.slow.refresh(ctx, p.conn, p.slowEvery); err != nil {
		return f, err
	}
	f.Settings, f.DatabaseBytes = p.slow.settings, p.slow.bytes
	return f, nil
}

// oneLine is the error's text without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
