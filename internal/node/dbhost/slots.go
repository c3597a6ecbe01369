package dbhost

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/node/postgres"
)

// idleSlots are those of the given slots that are not in use, on a server that is a
// standby and streams. One that is in use, logical or temporary is not repool's to drop.
const idleSlots = `SELECT slot_name::text FROM pg_replication_slots
  WHERE slot_name = ANY($1) AND slot_type = 'physical' AND NOT active AND NOT temporary
    AND pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
  ORDER BY 1`

// DropSlots drops those of the given slots that the running server has and nobody
// uses, while it is a standby that streams, and returns their names. PostgreSQL
// itself refuses to drop a slot that has come into use meanwhile, which is no error.
func (h *Host) DropSlots(ctx context.Context, names []string) (dropped []string, err error) {
	conf, err := h.localConfig()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	err = h.conns.With(ctx, conf, false, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, idleSlots, names)
		if err != nil {
			return err
		}
		idle, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range idle {
			tag, err := conn.Exec(ctx, `SELECT pg_drop_replication_slot($1) WHERE pg_is_in_recovery()`, name)
			switch s := postgres.SQLState(err); {
			case s == postgres.UndefinedObject || s == postgres.ObjectInUse:
			case err != nil:
				return fmt.Errorf("drop slot %s: %w", name, err)
			case tag.RowsAffected() == 1:
				dropped = append(dropped, name)
			}
		}
		return nil
	})
	if err != nil {
		return dropped, fmt.Errorf("the node's own server: %w", err)
	}
	return dropped, nil
}
