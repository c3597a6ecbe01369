package hook

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/repool/repool/internal/core/topology"
)

// ErrNotAsked wraps a refusal that came before anything was done: no promotion
// of that node will follow.
var ErrNotAsked = errors.New("promotion refused")

// sqlServer speaks the simple query protocol: one round trip a question.
type sqlServer struct {
	conn   *pgconn.PgConn
	closed bool
}

// connect opens a connection. Statements of ours must not wait for a standby
// that is gone (synchronous_commit), nor for a lock of somebody.
func connect(ctx context.Context, conf *pgx.ConnConfig) (*sqlServer, error) {
	c := conf.Config.Copy()
	c.RuntimeParams["application_name"] = "repool failover"
	c.RuntimeParams["synchronous_commit"] = "local"
	c.RuntimeParams["lock_timeout"] = "2000"
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	return &sqlServer{conn: conn}, nil
}

// row runs one statement and gives the columns of its one row.
func (s *sqlServer) row(ctx context.Context, sql string) ([]string, error) {
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return nil, fmt.Errorf("want one row, got %d results", len(results))
	}
	var out []string
	for _, col := range results[0].Rows[0] {
		out = append(out, string(col))
	}
	return out, nil
}

// factsQuery finds, besides the plain facts, on which timeline a standby really
// is. Its control file tells only at the next restartpoint, and the WAL
// receiver is gone with the primary; but a segment file of the timeline at its
// position is there, and the timeline's history file, which a standby fetches
// first. A segment without one is what pg_rewind left of the line that the node
// was taken from: it keeps the segments that it has read itself. %[1]s is that
// search, which needs pg_monitor.
const factsQuery = `
WITH s AS MATERIALIZED (
  SELECT pg_is_in_recovery() AS rec, pg_last_wal_receive_lsn() AS receive, pg_last_wal_replay_lsn() AS replay,
         pg_size_bytes(current_setting('wal_segment_size'))::numeric AS seg,
         (SELECT system_identifier FROM pg_control_system()) AS sysid,
         (SELECT timeline_id FROM pg_control_checkpoint())::bigint AS ctli,
         (SELECT min_recovery_end_timeline FROM pg_control_recovery())::bigint AS mtli,
         (SELECT received_tli FROM pg_stat_wal_receiver)::bigint AS rtli),
n AS MATERIALIZED (
  SELECT s.*, div((greatest(receive, replay) - '0/0'::pg_lsn) - 1, seg) AS no, div(4294967296, seg) AS per FROM s),
t AS MATERIALIZED (
  SELECT n.*, CASE WHEN rec THEN greatest(ctli, mtli, rtli, %[1]s)
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END AS tli FROM n)
SELECT rec, sysid, tli, coalesce(receive, '0/0'), coalesce(replay, '0/0'), coalesce(%[2]s, '') FROM t`

const (
	segmentTLI = `(SELECT max(('x' || substr(w.name, 1, 8))::bit(32)::bigint) FROM pg_ls_waldir() w WHERE length(w.name) = 24
    AND substr(w.name, 9) = lpad(upper(to_hex(div(n.no, n.per)::bigint)), 8, '0') || lpad(upper(to_hex(mod(n.no, n.per)::bigint)), 8, '0')
    AND (substr(w.name, 1, 8) = '00000001' OR EXISTS (SELECT FROM pg_ls_waldir() h WHERE h.name = substr(w.name, 1, 8) || '.history')))`
	historyHex = `encode(pg_read_binary_file('pg_wal/' || lpad(upper(to_hex(tli)), 8, '0') || '.history', 0, 65536, true), 'hex')`
)

// factsQueries ask for less and less, since a role can lack one grant or both.
var factsQueries = []string{
	fmt.Sprintf(factsQuery, segmentTLI, historyHex),
	fmt.Sprintf(factsQuery, segmentTLI, "NULL"),
	fmt.Sprintf(factsQuery, "NULL", historyHex),
	fmt.Sprintf(factsQuery, "NULL", "NULL"),
}

func (s *sqlServer) Facts(ctx context.Context) (Facts, error) {
	var cols []string
	var err error
	for _, q := range factsQueries {
		if cols, err = s.row(ctx, q); !isCode(err, "42501") {
			break
		}
	}
	if err != nil {
		return Facts{}, fmt.Errorf("ask for the node's state: %w", err)
	}
	return parseFacts(cols)
}

func parseFacts(cols []string) (Facts, error) {
	if len(cols) != 6 {
		return Facts{}, fmt.Errorf("read the node's state: %d columns", len(cols))
	}
	f := Facts{InRecovery: cols[0] == "t"}
	sysid, err1 := strconv.ParseUint(cols[1], 10, 64)
	tli, err2 := strconv.ParseUint(cols[2], 10, 32)
	receive, err3 := topology.ParseLSN(cols[3])
	replay, err4 := topology.ParseLSN(cols[4])
	text, err5 := hex.DecodeString(cols[5])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return Facts{}, fmt.Errorf("read the node's state: %w", err)
	}
	f.SystemID, f.Receive, f.Replay = topology.SystemID(sysid), receive, replay
	f.History = topology.History{TLI: topology.TimelineID(tli)}
	if h, err := topology.ParseHistory(f.History.TLI, string(text)); err == nil {
		f.History = h // a garbled file leaves the number alone
	}
	if f.SystemID == 0 || f.History.TLI == 0 {
		return Facts{}, fmt.Errorf("read the node's state: system identifier %s, timeline %s", f.SystemID, f.History.TLI)
	}
	return f, nil
}

// Promote does not let pg_promote wait: it looks ten times a second only.
func (s *sqlServer) Promote(ctx context.Context) error {
	cols, err := s.row(ctx, "SELECT pg_promote(false)")
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		return fmt.Errorf("%w: %w", ErrNotAsked, err)
	case err != nil:
		return fmt.Errorf("ask for promotion: %w", err)
	case len(cols) != 1 || cols[0] != "t":
		return fmt.Errorf("%w: pg_promote returned %q", ErrNotAsked, cols)
	}
	return nil
}

func (s *sqlServer) Timeline(ctx context.Context) (topology.TimelineID, error) {
	cols, err := s.row(ctx, `SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END`)
	if err != nil || len(cols) != 1 || cols[0] == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(cols[0], 16, 32)
	if err != nil {
		return 0, fmt.Errorf("read timeline: %w", err)
	}
	return topology.TimelineID(n), nil
}

func (s *sqlServer) EnsureSlots(ctx context.Context, names []string) error {
	var missing []error
	for _, name := range names {
		_, err := s.conn.Exec(ctx, fmt.Sprintf(`SELECT pg_create_physical_replication_slot('%[1]s', true)
			WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '%[1]s')`, strings.ReplaceAll(name, "'", "''"))).ReadAll()
		if err != nil && !isCode(err, "42710") { // made by somebody else meanwhile
			missing = append(missing, fmt.Errorf("make slot %s: %w", name, err))
		}
	}
	return errors.Join(missing...)
}

// Checkpoint relies on how a server works: it reads the query that lies in its
// socket, also when we have left, and a checkpoint asked for is not taken back.
func (s *sqlServer) Checkpoint(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.conn.Conn().SetWriteDeadline(deadline); err != nil {
			return fmt.Errorf("ask for a checkpoint: %w", err)
		}
	}
	s.conn.Frontend().Send(&pgproto3.Query{String: "CHECKPOINT"})
	if err := s.conn.Frontend().Flush(); err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	s.closed = true
	if err := s.conn.Conn().Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("leave after asking for a checkpoint: %w", err)
	}
	return nil
}

func (s *sqlServer) Close() {
	if s.closed {
		return
	}
	s.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx) // nothing of ours depends on how the connection ends
}

// isCode says whether PostgreSQL answered with that SQLSTATE.
func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}
