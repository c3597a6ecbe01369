package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
)

// factsQuery reads the fast facts as one row. Functions that fail in the other
// role stand behind CASE. Slots and senders come as JSON, to stay one row.
const factsQuery = `
SELECT pg_has_role('pg_read_all_stats', 'USAGE'),
       current_user::text,
       r.rec,
       s.system_identifier::text,
       current_setting('server_version_num')::int,
       CASE WHEN NOT r.rec THEN pg_current_wal_lsn()::text END,
       CASE WHEN NOT r.rec THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       c.timeline_id,
       pg_last_wal_receive_lsn()::text,
       pg_last_wal_replay_lsn()::text,
       CASE WHEN r.rec THEN pg_is_wal_replay_paused() ELSE false END,
       CASE WHEN r.rec THEN coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0) ELSE 0 END::float8,
       w.status, w.sender_host, w.sender_port, w.received_tli, w.slot_name,
       (SELECT coalesce(json_agg(json_build_object('app_name', coalesce(application_name, ''), 'state', coalesce(state, ''),
               'sync_state', coalesce(sync_state, ''), 'flush', coalesce(flush_lsn, '0/0')::text,
               'replay', coalesce(replay_lsn, '0/0')::text)), '[]')::text FROM pg_stat_replication),
       (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active,
               'physical', slot_type = 'physical', 'restart', coalesce(restart_lsn, '0/0')::text,
               'wal_status', coalesce(wal_status, ''))), '[]')::text FROM pg_replication_slots)
FROM (SELECT pg_is_in_recovery() AS rec) r
CROSS JOIN pg_control_system() s
CROSS JOIN pg_control_checkpoint() c
LEFT JOIN pg_stat_wal_receiver w ON true`

// factsRow is the row of factsQuery, as it comes.
type factsRow struct {
	mayRead                  bool
	user                     string
	sysid, senders, slots    string
	current, receive, replay *string
	walTLI                   *string // of the WAL being written; primary only
	checkpointTLI            int64
	status, host, slot       *string
	port, receivedTLI        *int64
}

// readFacts asks the server for everything but the slow facts.
func readFacts(ctx context.Context, conn *pgx.Conn) (topology.SQLFacts, error) {
	var f topology.SQLFacts
	var r factsRow
	err := conn.QueryRow(ctx, factsQuery).Scan(&r.mayRead, &r.user, &f.InRecovery, &r.sysid, &f.Version, &r.current, &r.walTLI, &r.checkpointTLI,
		&r.receive, &r.replay, &f.ReplayPaused, &f.ReplayLagSeconds, &r.status, &r.host, &r.port, &r.receivedTLI, &r.slot, &r.senders, &r.slots)
	if err != nil {
		return f, fmt.Errorf("read state of the node: %w", err)
	}
	if !r.mayRead {
		return f, fmt.Errorf("role %q may not read the server's statistics, so nothing can be told of its streams: run GRANT pg_monitor TO %s on the primary",
			r.user, pgx.Identifier{r.user}.Sanitize())
	}
	return f, r.into(&f)
}

// into turns the texts of the row into facts.
func (r *factsRow) into(f *topology.SQLFacts) error {
	id, err := strconv.ParseUint(r.sysid, 10, 64)
	if err != nil {
		return fmt.Errorf("read system identifier %q: %w", r.sysid, err)
	}
	f.SystemID = topology.SystemID(id)
	for _, v := range []struct {
		text *string
		to   *topology.LSN
	}{{r.current, &f.Current}, {r.receive, &f.Receive}, {r.replay, &f.Replay}} {
		if v.text == nil {
			continue
		}
		if *v.to, err = topology.ParseLSN(*v.text); err != nil {
			return err
		}
	}
	if f.Timeline, err = r.timeline(); err != nil {
		return err
	}
	f.Receiver = topology.WALReceiver{Status: text(r.status), SenderHost: text(r.host), Slot: text(r.slot)}
	if r.receivedTLI != nil {
		f.Receiver.Timeline = topology.TimelineID(*r.receivedTLI)
	}
	if r.port != nil {
		f.Receiver.SenderPort = int(*r.port)
	}
	if err := json.Unmarshal([]byte(r.senders), &f.Senders); err != nil {
		return fmt.Errorf("read pg_stat_replication: %w", err)
	}
	if err := json.Unmarshal([]byte(r.slots), &f.Slots); err != nil {
		return fmt.Errorf("read pg_replication_slots: %w", err)
	}
	return nil
}

// timeline is the one being written (primary) or received (standby), else the
// last checkpoint's, which lags behind a switch.
func (r *factsRow) timeline() (topology.TimelineID, error) {
	switch {
	case r.walTLI != nil:
		n, err := strconv.ParseUint(*r.walTLI, 16, 32)
		if err != nil {
			return 0, fmt.Errorf("read timeline %q: %w", *r.walTLI, err)
		}
		return topology.TimelineID(n), nil
	case r.receivedTLI != nil:
		return topology.TimelineID(*r.receivedTLI), nil
	}
	return topology.TimelineID(r.checkpointTLI), nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
