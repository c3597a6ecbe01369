package dbhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/repool/repool/internal/core/topology"
)

// localTimeout bounds one local question to the server.
const localTimeout = 5 * time.Second

// localConfig is how the node's own server is reached.
func (h *Host) localConfig() (*pgx.ConnConfig, error) {
	host, port, err := h.localAddress()
	if err != nil {
		return nil, err
	}
	dsn := connInfo(h.o.Database, host, port).With("dbname", orDefault(h.o.Database.DBName, "postgres"))
	conf, err := pgx.ParseConfig(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("connect to the node's own server: %w", err)
	}
	conf.ConnectTimeout = localTimeout
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	conf.RuntimeParams["application_name"] = "repool agent"
	return conf, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
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
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err == nil {
		_ = conn.Close(ctx) // it answered: that was all we wanted
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code != "57P03" // cannot_connect_now
	}
	return false
}

// streamQuery reads what tells how a standby streams, as one row.
const streamQuery = `
SELECT r.rec, s.system_identifier::text, current_setting('server_version_num')::int, c.timeline_id,
       CASE WHEN r.rec THEN pg_last_wal_receive_lsn() END::text,
       CASE WHEN r.rec THEN pg_last_wal_replay_lsn() END::text,
       CASE WHEN NOT r.rec THEN pg_current_wal_lsn() END::text,
       CASE WHEN NOT r.rec THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       CASE WHEN r.rec THEN pg_is_wal_replay_paused() ELSE false END,
       w.status, w.sender_host, w.sender_port, w.received_tli, w.slot_name
FROM (SELECT pg_is_in_recovery() AS rec) r
CROSS JOIN pg_control_system() s
CROSS JOIN pg_control_checkpoint() c
LEFT JOIN pg_stat_wal_receiver w ON true`

// Stream asks the running server, over a local connection, whether and from
// where it streams. Timeline is the WAL receiver's where there is one.
func (h *Host) Stream(ctx context.Context) (topology.SQLFacts, error) {
	conf, err := h.localConfig()
	if err != nil {
		return topology.SQLFacts{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	failed := func(err error) error {
		return fmt.Errorf("connect to the node's own server at %s: %w", net.JoinHostPort(conf.Host, strconv.Itoa(int(conf.Port))), err)
	}
	var f topology.SQLFacts
	err = h.conns.With(ctx, conf, false, failed, func(conn *pgx.Conn) (err error) {
		f, err = askStream(ctx, conn)
		return err
	})
	return f, err
}

func askStream(ctx context.Context, conn *pgx.Conn) (topology.SQLFacts, error) {
	var f topology.SQLFacts
	var sysid string
	var receive, replay, current, walTLI, status, host, slot *string
	var checkpointTLI int64
	var port, tli *int64
	err := conn.QueryRow(ctx, streamQuery).Scan(&f.InRecovery, &sysid, &f.Version, &checkpointTLI, &receive, &replay,
		&current, &walTLI, &f.ReplayPaused, &status, &host, &port, &tli, &slot)
	if err != nil {
		return topology.SQLFacts{}, fmt.Errorf("ask the node's own server how it streams: %w", err)
	}
	id, err := strconv.ParseUint(sysid, 10, 64)
	if err != nil {
		return topology.SQLFacts{}, fmt.Errorf("read system identifier %q: %w", sysid, err)
	}
	f.SystemID, f.Timeline = topology.SystemID(id), topology.TimelineID(checkpointTLI)
	for _, v := range []struct {
		text *string
		to   *topology.LSN
	}{{receive, &f.Receive}, {replay, &f.Replay}, {current, &f.Current}} {
		if v.text == nil {
			continue
		}
		if *v.to, err = topology.ParseLSN(*v.text); err != nil {
			return topology.SQLFacts{}, err
		}
	}
	f.Receiver = topology.WALReceiver{Status: deref(status), SenderHost: deref(host), Slot: deref(slot)}
	if port != nil {
		f.Receiver.SenderPort = int(*port)
	}
	if tli != nil {
		f.Receiver.Timeline = topology.TimelineID(*tli)
		f.Timeline = f.Receiver.Timeline
	}
	if walTLI != nil {
		n, err := strconv.ParseUint(*walTLI, 16, 32)
		if err != nil {
			return topology.SQLFacts{}, fmt.Errorf("read timeline %q: %w", *walTLI, err)
		}
		f.Timeline = topology.TimelineID(n)
	}
	f.At = time.Now()
	return f, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
