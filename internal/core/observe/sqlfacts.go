package observe

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// factsColumns are asked with the identity. Senders and slots come as JSON, so
// that there is one row.
const factsColumns = `,
       pg_has_role('pg_read_all_stats', 'USAGE'),
       current_user::text,
       CASE WHEN me.in_recovery
            THEN coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0) ELSE 0 END::float8,
       current_setting('synchronous_standby_names'),
       (SELECT coalesce(json_agg(json_build_object('app_name', coalesce(application_name, ''),
               'pid', pid, 'addr', coalesce(host(client_addr), ''),
               'state', coalesce(state, ''), 'sync_state', coalesce(sync_state, ''),
               'slot', coalesce((SELECT slot_name FROM pg_replication_slots s WHERE s.active_pid = r.pid LIMIT 1), ''),
               'flush', coalesce(flush_lsn, '0/0')::text,
               'replay', coalesce(replay_lsn, '0/0')::text)), '[]')::text FROM pg_stat_replication r),
       ` + postgres.SlotsColumn

// readFacts asks the server for everything but the slow facts.
func readFacts(ctx context.Context, conn *pgx.Conn) (topology.SQLFacts, error) {
	var mayRead bool
	var lag float64
	var user, syncNames, senders, slots string
	f, err := postgres.Identify(ctx, conn, postgres.More{Columns: factsColumns,
		Into: []any{&mayRead, &user, &lag, &syncNames, &senders, &slots}})
	if err != nil {
		return f, err
	}
	if !mayRead {
		return f, fmt.Errorf("role %q may not read the server's statistics, so its replication is unknown: "+
			"run GRANT pg_monitor TO %s on the primary", user, pgx.Identifier{user}.Sanitize())
	}
	f.ReplayLagSeconds, f.SyncNames = lag, syncNames
	if err := readLists(&f, senders, slots); err != nil {
		return f, err
	}
	return f, nil
}

// readLists reads the senders and slots, which come as JSON.
func readLists(f *topology.SQLFacts, senders, slots string) error {
	if err := json.Unmarshal([]byte(senders), &f.Senders); err != nil {
		return fmt.Errorf("read pg_stat_replication: %w", err)
	}
	if err := json.Unmarshal([]byte(slots), &f.Slots); err != nil {
		return fmt.Errorf("read pg_replication_slots: %w", err)
	}
	return nil
}
