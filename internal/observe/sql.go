package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/repool/repool/internal/topology"
)

// SQLProber asks one PostgreSQL over one kept connection, made anew when it
// breaks. It speaks to the node itself, never through Pgpool-II.
type SQLProber struct {
	conf *pgx.ConnConfig
	// SlowEvery is how often settings and database sizes are read again.
	slowEvery time.Duration

	mu     sync.Mutex
	conn   *pgx.Conn
	slow   slowFacts
	slowAt time.Time
}

type slowFacts struct {
	settings map[string]string
	bytes    uint64
}

// NewSQLProber makes a prober for one node. conf comes from pgx.ParseConfig;
// the prober sets its application name and timeouts.
func NewSQLProber(conf *pgx.ConnConfig) *SQLProber {
	conf = conf.Copy()
	conf.ConnectTimeout = 3 * time.Second
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	if conf.RuntimeParams == nil {
		conf.RuntimeParams = map[string]string{}
	}
	conf.RuntimeParams["application_name"] = "repool"
	conf.RuntimeParams["statement_timeout"] = "4000"
	conf.RuntimeParams["default_transaction_read_only"] = "on"
	return &SQLProber{conf: conf, slowEvery: time.Minute}
}

// Probe asks for everything at once. It needs pg_monitor.
func (p *SQLProber) Probe(ctx context.Context) topology.SQLFacts {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, err := p.probe(ctx)
	f.At = time.Now()
	if err != nil {
		f = topology.SQLFacts{Source: topology.Source{At: time.Now(), Err: err.Error()}, Refused: refused(err)}
		if p.conn != nil {
			cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = p.conn.Close(cctx) // the connection is broken already; nothing of ours is lost with it
			cancel()
			p.conn = nil
		}
	}
	return f
}

// Close ends the kept connection.
func (p *SQLProber) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return nil
	}
	err := p.conn.Close(ctx)
	p.conn = nil
	return err
}

// factsQuery reads the fast facts as one row. Functions that fail in the other
// role stand behind CASE. Slots and senders come as JSON, to stay one row.
const factsQuery = `
SELECT r.rec,
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
       (SELECT coalesce(json_agg(json_build_object('app_name', application_name, 'state', state,
               'sync_state', sync_state, 'flush', coalesce(flush_lsn, '0/0')::text,
               'replay', coalesce(replay_lsn, '0/0')::text)), '[]')::text FROM pg_stat_replication),
       (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active,
               'physical', slot_type = 'physical', 'restart', coalesce(restart_lsn, '0/0')::text,
               'wal_status', coalesce(wal_status, ''))), '[]')::text FROM pg_replication_slots)
FROM (SELECT pg_is_in_recovery() AS rec) r
CROSS JOIN pg_control_system() s
CROSS JOIN pg_control_checkpoint() c
LEFT JOIN pg_stat_wal_receiver w ON true`

func (p *SQLProber) probe(ctx context.Context) (topology.SQLFacts, error) {
	var f topology.SQLFacts
	if p.conn == nil || p.conn.IsClosed() {
		conn, err := pgx.ConnectConfig(ctx, p.conf)
		if err != nil {
			return f, err
		}
		p.conn = conn
	}
	var sysid, senders, slots string
	var current, walTLI, receive, replay, status, host, slot *string
	var ckptTLI int64
	var port, tli *int64
	err := p.conn.QueryRow(ctx, factsQuery).Scan(&f.InRecovery, &sysid, &f.Version, &current, &walTLI, &ckptTLI,
		&receive, &replay, &f.ReplayPaused, &f.ReplayLagSeconds, &status, &host, &port, &tli, &slot, &senders, &slots)
	if err != nil {
		return f, fmt.Errorf("read state of the node: %w", err)
	}
	id, err := strconv.ParseUint(sysid, 10, 64)
	if err != nil {
		return f, fmt.Errorf("read system identifier %q: %w", sysid, err)
	}
	f.SystemID = topology.SystemID(id)
	for _, v := range []struct {
		text *string
		to   *topology.LSN
	}{{current, &f.Current}, {receive, &f.Receive}, {replay, &f.Replay}} {
		if v.text == nil {
			continue
		}
		if *v.to, err = topology.ParseLSN(*v.text); err != nil {
			return f, err
		}
	}
	f.Timeline = topology.TimelineID(ckptTLI)
	if tli != nil {
		f.Timeline = topology.TimelineID(*tli)
		f.Receiver.Timeline = f.Timeline
	}
	if walTLI != nil {
		n, err := strconv.ParseUint(*walTLI, 16, 32)
		if err != nil {
			return f, fmt.Errorf("read timeline %q: %w", *walTLI, err)
		}
		f.Timeline = topology.TimelineID(n)
	}
	f.Receiver.Status, f.Receiver.SenderHost, f.Receiver.Slot = text(status), text(host), text(slot)
	if port != nil {
		f.Receiver.SenderPort = int(*port)
	}
	if err := json.Unmarshal([]byte(senders), &f.Senders); err != nil {
		return f, fmt.Errorf("read pg_stat_replication: %w", err)
	}
	if err := json.Unmarshal([]byte(slots), &f.Slots); err != nil {
		return f, fmt.Errorf("read pg_replication_slots: %w", err)
	}
	if err := p.slowly(ctx); err != nil {
		return f, err
	}
	f.Settings, f.DatabaseBytes = p.slow.settings, p.slow.bytes
	return f, nil
}

// watched are the settings that decisions and checks rest on.
var watched = []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
	"max_locks_per_transaction", "wal_log_hints", "data_checksums", "full_page_writes", "wal_level", "wal_keep_size",
	"max_slot_wal_keep_size", "max_replication_slots", "hot_standby", "synchronous_standby_names", "synchronous_commit",
	"archive_mode", "restore_command", "primary_conninfo", "primary_slot_name", "recovery_min_apply_delay",
	"data_directory", "config_file", "hba_file", "port", "wal_segment_size", "recovery_target_timeline"}

// slowly refreshes what changes seldom and costs more.
func (p *SQLProber) slowly(ctx context.Context) error {
	if p.slow.settings != nil && time.Since(p.slowAt) < p.slowEvery {
		return nil
	}
	rows, err := p.conn.Query(ctx, `SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)`, watched)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	settings := map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		settings[name] = maskConninfo(name, value)
		return nil
	}); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	var bytes int64
	if err := p.conn.QueryRow(ctx, `SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database`).Scan(&bytes); err != nil {
		return fmt.Errorf("read database sizes: %w", err)
	}
	p.slow, p.slowAt = slowFacts{settings: settings, bytes: uint64(bytes)}, time.Now()
	return nil
}

// maskConninfo takes a password out of a connection string, so that it can
// never reach a log, the API or a page (P10).
func maskConninfo(name, value string) string {
	if name != "primary_conninfo" || !strings.Contains(value, "password") {
		return value
	}
	var keep []string
	for _, f := range strings.Fields(value) {
		if !strings.HasPrefix(f, "password") {
			keep = append(keep, f)
		}
	}
	return strings.Join(keep, " ")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// refused tells a server that certainly takes no connections now from one that
// is merely silent: nothing listens, or it says itself that it is starting up
// or shutting down (57P03, 57P01).
func refused(err error) bool {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return true
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "57P03" || pg.Code == "57P01")
}
