package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// linger is how long an unused connection is kept.
const linger = 2 * time.Second

// Keeper keeps connections open for a moment: a login costs the server a process
// and both sides a password exchange. An answer over a kept connection is as
// fresh as over a new one; only whether the address still leads to the same
// server is known as of the login, so whoever must prove that asks for a fresh
// one. The zero value is ready; a Keeper may be used by several goroutines.
type Keeper struct {
	mu   sync.Mutex
	idle []*kept
}

// kept is a connection that nobody uses now.
type kept struct {
	key  string
	conn *pgx.Conn
	end  *time.Timer
}

// With calls f with a connection made from conf. Unless fresh is set, it may be
// one used before for the same connection string; if that turns out to be broken,
// f is called again with a new one, so f must be repeatable. An attempt to
// connect that failed is a *ConnectError.
func (k *Keeper) With(ctx context.Context, conf *pgx.ConnConfig, fresh bool, f func(*pgx.Conn) error) error {
	key := conf.ConnString()
	if !fresh {
		if conn := k.take(key); conn != nil {
			err := f(conn)
			if err == nil || !conn.IsClosed() || ctx.Err() != nil {
				k.keep(key, conn)
				return err
			}
		}
	}
	conn, err := Connect(ctx, conf)
	if err != nil {
		return err
	}
	err = f(conn)
	k.keep(key, conn)
	return err
}

// take gives a kept connection away, or nil.
func (k *Keeper) take(key string) *pgx.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, c := range k.idle {
		if c.key == key && c.end.Stop() {
			k.idle = slices.Delete(k.idle, i, i+1)
			return c.conn
		}
	}
	return nil
}

// keep puts a connection away for a moment.
func (k *Keeper) keep(key string, conn *pgx.Conn) {
	if conn.IsClosed() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &kept{key: key, conn: conn}
	c.end = time.AfterFunc(linger, func() { k.drop(c) })
	k.idle = append(k.idle, c)
}

func (k *Keeper) drop(c *kept) {
	k.mu.Lock()
	k.idle = slices.DeleteFunc(k.idle, func(x *kept) bool { return x == c })
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx) // it carries nothing that could be lost
}

// Close ends the kept connections. Those in use end when they have lingered.
func (k *Keeper) Close() {
	k.mu.Lock()
	idle := k.idle
	k.idle = nil
	k.mu.Unlock()
	for _, c := range idle {
		if c.end.Stop() {
			k.drop(c)
		}
	}
}
