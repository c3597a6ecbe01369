package dbhost

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
)

// namesPatience bounds all the asking for names: they are for people only.
const namesPatience = 2 * time.Second

// relationNames asks the upstream what a relation of the lost line is called.
// Files of relations that both lines know have one number on both; what was
// made or rewritten on the lost line only keeps its number.
type relationNames struct {
	h     *Host
	up    topology.Upstream
	until time.Time
	names map[pgdata.RelFile]string
	dbs   map[uint32]*pgx.Conn
}

func newRelationNames(h *Host, up topology.Upstream) *relationNames {
	return &relationNames{h: h, up: up, names: map[pgdata.RelFile]string{}, dbs: map[uint32]*pgx.Conn{}}
}

// name is "database.schema.relation", or empty when it is unknown.
func (n *relationNames) name(ctx context.Context, r pgdata.RelFile) string {
	if name, known := n.names[r]; known {
		return name
	}
	if n.until.IsZero() {
		n.until = time.Now().Add(namesPatience)
	}
	n.names[r] = ""
	ctx, cancel := context.WithDeadline(ctx, n.until)
	defer cancel()
	conn := n.database(ctx, r.Database)
	if conn == nil {
		return ""
	}
	var name *string
	err := conn.QueryRow(ctx, `
SELECT format('%s.%s.%s', current_database(), s.nspname, c.relname)
FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE c.oid = pg_filenode_relation(CASE WHEN $1::oid = 1663 THEN 0 ELSE $1 END, $2)`,
		r.Tablespace, r.Relation).Scan(&name)
	if err == nil && name != nil {
		n.names[r] = *name
	}
	return n.names[r]
}

// database connects to the database with that OID; nil when that fails.
func (n *relationNames) database(ctx context.Context, oid uint32) *pgx.Conn {
	if conn, known := n.dbs[oid]; known {
		return conn
	}
	n.dbs[oid] = nil
	if n.up.Host == "" || oid == 0 || ctx.Err() != nil {
		return nil
	}
	login := n.h.o.Database
	first, err := login.Connect(ctx, n.up.Host, n.up.Port, upstreamSession)
	if err != nil {
		return nil
	}
	err = first.QueryRow(ctx, `SELECT datname FROM pg_database WHERE oid = $1`, oid).Scan(&login.DBName)
	_ = first.Close(ctx) // only asked
	if err != nil {
		return nil
	}
	conn, err := login.Connect(ctx, n.up.Host, n.up.Port, upstreamSession)
	if err == nil {
		n.dbs[oid] = conn
	}
	return n.dbs[oid]
}

func (n *relationNames) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, conn := range n.dbs {
		if conn != nil {
			_ = conn.Close(ctx) // only asked
		}
	}
}
