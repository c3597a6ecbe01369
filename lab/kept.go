package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// keptConn is a connection to one node that looks use again and again: a look
// many times a second must not cost a server process each, or it disturbs what
// it measures.
type keptConn struct {
	turn chan struct{} // full while somebody uses conn
	conn *pgx.Conn     // nil: none yet, or it broke
}

// look is With in database postgres over the kept connection, or over a short
// one while another goroutine uses that.
func (l *Lab) look(ctx context.Context, i int, use func(*pgx.Conn) error) error {
	k := l.keptOf(i)
	select {
	case k.turn <- struct{}{}:
	default:
		return l.With(ctx, i, "postgres", use)
	}
	defer func() { <-k.turn }()
	for fresh := false; ; {
		if k.conn == nil {
			conn, err := l.connect(ctx, i, "postgres")
			if err != nil {
				return err
			}
			k.conn, fresh = conn, true
		}
		err := use(k.conn)
		if err == nil {
			return nil
		}
		if !k.conn.IsClosed() {
			return fmt.Errorf("node %d: %w", i, err)
		}
		// A server that was restarted since has ended the connection.
		k.conn = nil
		if fresh || ctx.Err() != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
	}
}

func (l *Lab) keptOf(i int) *keptConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		l.kept = map[int]*keptConn{}
	}
	if l.kept[i] == nil {
		l.kept[i] = &keptConn{turn: make(chan struct{}, 1)}
	}
	return l.kept[i]
}

// dropKept ends the kept connections that nobody uses now.
func (l *Lab) dropKept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.kept {
		select {
		case k.turn <- struct{}{}:
		default:
			continue
		}
		if k.conn != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			_ = k.conn.Close(ctx) // its server ends next
			cancel()
			k.conn = nil
		}
		<-k.turn
	}
}

// connect makes a superuser connection to database db of node i.
func (l *Lab) connect(ctx context.Context, i int, db string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(l.ConnStringDB(i, db))
	if err != nil {
		return nil, fmt.Errorf("connect to node %d: %w", i, err)
	}
	cfg.ConnectTimeout = 3 * time.Second
	cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec // no statement outlives its use
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to node %d: %w", i, err)
	}
	return conn, nil
}
