package hook

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// ErrNotAsked wraps a refusal that came before anything was done: no promotion
// of that node will follow.
var ErrNotAsked = errors.New("promotion refused")

// session: statements must wait neither for a standby that is gone nor for
// somebody's lock.
var session = postgres.Session{App: "repool failover", Lock: 2 * time.Second, LocalCommit: true}

// sqlServer is a connection to a node. Each question is one round trip.
type sqlServer struct {
	conn   *pgx.Conn
	closed bool
}

// lineFrom finds on which timeline a standby really is, and reads that
// timeline's history file. The control file is updated only at the next
// restartpoint, and the WAL receiver is gone with the primary; but a segment
// file of the timeline at the standby's position is there, and the timeline's
// history file, which a standby fetches first. A segment without one was left by
// pg_rewind, which keeps the segments that it has read, of the line that the
// node was taken from. %[1]s is the search for the segment (it needs
// pg_monitor), %[2]s the history file.
const lineFrom = `
 CROSS JOIN LATERAL (
  SELECT div((greatest(me.received, me.replayed) - '0/0'::pg_lsn) - 1, seg) AS no, div(4294967296, seg) AS per
    FROM (SELECT pg_size_bytes(current_setting('wal_segment_size'))::numeric AS seg) s) n
 CROSS JOIN LATERAL (
  SELECT CASE WHEN me.in_recovery
         THEN greatest(me.checkpoint_tli, me.received_tli, %[1]s,
                       (SELECT min_recovery_end_timeline FROM pg_control_recovery())::bigint)
         ELSE me.wal_tli END AS tli) line
 CROSS JOIN LATERAL (SELECT coalesce(%[2]s, '') AS history) file`

const (
	lineColumns = `, line.tli, file.history, current_setting('synchronous_standby_names')`
	segmentTLI  = `(SELECT max(('x' || substr(w.name, 1, 8))::bit(32)::bigint) FROM pg_ls_waldir() w
    WHERE length(w.name) = 24
      AND substr(w.name, 9) = lpad(upper(to_hex(div(n.no, n.per)::bigint)), 8, '0')
                           || lpad(upper(to_hex(mod(n.no, n.per)::bigint)), 8, '0')
      AND (substr(w.name, 1, 8) = '00000001'
           OR EXISTS (SELECT FROM pg_ls_waldir() h WHERE h.name = substr(w.name, 1, 8) || '.history')))`
	historyHex = `encode(pg_read_binary_file(
    'pg_wal/' || lpad(upper(to_hex(line.tli)), 8, '0') || '.history', 0, 65536, true), 'hex')`
)

// lineFroms ask for less and less, since a role can lack one grant or both.
var lineFroms = []string{
	fmt.Sprintf(lineFrom, segmentTLI, historyHex),
	fmt.Sprintf(lineFrom, segmentTLI, "NULL"),
	fmt.Sprintf(lineFrom, "NULL", historyHex),
	fmt.Sprintf(lineFrom, "NULL", "NULL"),
}

func (s *sqlServer) Facts(ctx context.Context) (Facts, error) {
	var f topology.SQLFacts
	var tli int64
	var history, syncNames string
	var err error
	for _, from := range lineFroms {
		f, err = postgres.Identify(ctx, s.conn, postgres.More{Columns: lineColumns, From: from,
			Into: []any{&tli, &history, &syncNames}})
		if postgres.SQLState(err) != postgres.InsufficientPrivilege {
			break
		}
	}
	if err != nil {
		return Facts{}, err
	}
	f.SyncNames = syncNames
	return factsOf(f, topology.TimelineID(tli), history)
}

// factsOf joins what the server said with its history file, in hexadecimal.
func factsOf(f topology.SQLFacts, tli topology.TimelineID, history string) (Facts, error) {
	text, err := hex.DecodeString(history)
	if err != nil {
		return Facts{}, fmt.Errorf("read the history of timeline %s: %w", tli, err)
	}
	out := Facts{InRecovery: f.InRecovery, SystemID: f.SystemID, Receive: f.Receive, Replay: f.Replay,
		History: topology.History{TLI: tli}, SyncNames: f.SyncNames}
	if h, err := topology.ParseHistory(tli, string(text)); err == nil {
		out.History = h // a garbled file leaves the number alone
	}
	if out.SystemID == 0 || tli == 0 {
		return Facts{}, fmt.Errorf("the server says system identifier %s, timeline %s", out.SystemID, tli)
	}
	return out, nil
}

// Promote does not let pg_promote wait: it looks ten times a second only.
func (s *sqlServer) Promote(ctx context.Context) error {
	var asked bool
	err := s.conn.QueryRow(ctx, "SELECT pg_promote(false)").Scan(&asked)
	switch {
	case postgres.SQLState(err) != "":
		return fmt.Errorf("%w: %w", ErrNotAsked, err)
	case err != nil:
		return fmt.Errorf("ask for promotion: %w", err)
	case !asked:
		return fmt.Errorf("%w: pg_promote returned false", ErrNotAsked)
	}
	return nil
}

func (s *sqlServer) Timeline(ctx context.Context) (topology.TimelineID, error) {
	f, err := postgres.Identify(ctx, s.conn, postgres.More{})
	if err != nil || f.InRecovery {
		return 0, err
	}
	return f.Timeline, nil
}

func (s *sqlServer) EnsureSlots(ctx context.Context, names []string) error {
	var missing []error
	for _, name := range names {
		_, err := s.conn.Exec(ctx, `SELECT pg_create_physical_replication_slot($1, true)
			WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`, name)
		if err != nil && postgres.SQLState(err) != postgres.DuplicateObject { // made by somebody else meanwhile
			missing = append(missing, fmt.Errorf("make slot %s: %w", name, err))
		}
	}
	return errors.Join(missing...)
}

// Checkpoint relies on how a server works: it reads the query that is in its
// socket even after we have left, and a requested checkpoint is not taken back.
func (s *sqlServer) Checkpoint(ctx context.Context) error {
	conn := s.conn.PgConn()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.Conn().SetWriteDeadline(deadline); err != nil {
			return fmt.Errorf("ask for a checkpoint: %w", err)
		}
	}
	conn.Frontend().Send(&pgproto3.Query{String: "CHECKPOINT"})
	if err := conn.Frontend().Flush(); err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	s.closed = true
	if err := conn.Conn().Close(); err != nil && !errors.Is(err, net.ErrClosed) {
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
