package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/pcp"
)

// ConnString connects to node i as superuser, through the lab's private unix
// socket, whatever Pgpool-II thinks of the node.
func (l *Lab) ConnString(i int) string { return l.ConnStringDB(i, "postgres") }

// ConnStringDB is ConnString for another database, such as "app".
func (l *Lab) ConnStringDB(i int, db string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable application_name=lab",
		l.Sockets, l.Nodes[i].Port, db)
}

// PoolConnString connects clients to database app through Pgpool-II.
func (l *Lab) PoolConnString() string {
	p := l.Pgpools[0]
	if l.Net != "" {
		p.Host = l.Sockets // the lab's network cannot be reached from outside
	}
	return fmt.Sprintf("host=%s port=%d user=app password=%s dbname=app sslmode=disable", p.Host, p.Port,
		l.Passwords["app"])
}

// PCP is how to reach Pgpool-II i by PCP.
func (l *Lab) PCP(i int) pcp.Config {
	p := l.Pgpools[i]
	if l.Net != "" {
		p.Host = l.Sockets
	}
	return pcp.Config{Host: p.Host, Port: p.PCPPort, User: "repool", Password: l.Passwords["pcp"],
		Timeout: 15 * time.Second, Location: time.UTC}
}

// With runs use on one short superuser connection to database db of node i.
func (l *Lab) With(ctx context.Context, i int, db string, use func(*pgx.Conn) error) error {
	conn, err := l.connect(ctx, i, db)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := use(conn); err != nil {
		return fmt.Errorf("node %d: %w", i, err)
	}
	return nil
}

// Exec runs one statement on node i as superuser, in database postgres.
func (l *Lab) Exec(ctx context.Context, i int, sql string, args ...any) error {
	return l.With(ctx, i, "postgres", func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql, args...)
		return err
	})
}

// Value asks node i for a single value, as text.
func (l *Lab) Value(ctx context.Context, i int, sql string, args ...any) (string, error) {
	var v *string
	err := l.look(ctx, i, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT ("+sql+")::text", args...).Scan(&v)
	})
	if err != nil || v == nil {
		return "", err
	}
	return *v, nil
}

// Attach attaches a node by PCP, unchecked as a person would.
func (l *Lab) Attach(ctx context.Context, i int) error {
	return pcp.With(ctx, l.PCP(0), func(c *pcp.Conn) error { return c.AttachNode(ctx, i) })
}

// Detach detaches a node by PCP; its server runs on.
func (l *Lab) Detach(ctx context.Context, i int) error {
	return pcp.With(ctx, l.PCP(0), func(c *pcp.Conn) error { return c.DetachNode(ctx, i) })
}
