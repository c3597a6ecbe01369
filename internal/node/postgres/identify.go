package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
)

// identity is one row, called me. A function that fails in the other role is
// behind a CASE. wal_tli is the timeline of the WAL being written, on a primary.
const identity = `
WITH me AS MATERIALIZED (
SELECT r.in_recovery, s.system_identifier, current_setting('server_version_num')::int AS version,
       c.timeline_id::bigint AS checkpoint_tli,
       CASE WHEN NOT r.in_recovery THEN pg_current_wal_lsn() END AS written,
       CASE WHEN NOT r.in_recovery
            THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END AS wal_tli,
       CASE WHEN r.in_recovery THEN pg_last_wal_receive_lsn() END AS received,
       CASE WHEN r.in_recovery THEN pg_last_wal_replay_lsn() END AS replayed,
       CASE WHEN r.in_recovery THEN pg_is_wal_replay_paused() ELSE false END AS paused,
       CASE WHEN r.in_recovery THEN (SELECT coalesce(wait_event, 'running') FROM pg_stat_activity
                                      WHERE backend_type = 'startup' LIMIT 1) END AS startup,
       w.status, w.sender_host, w.sender_port::bigint, w.received_tli::bigint, w.slot_name, w.conninfo
  FROM (SELECT pg_is_in_recovery() AS in_recovery) r
 CROSS JOIN pg_control_system() s
 CROSS JOIN pg_control_checkpoint() c
  LEFT JOIN pg_stat_wal_receiver w ON true)
SELECT in_recovery, system_identifier::text, version, checkpoint_tli, written::text, wal_tli,
       received::text, replayed::text, paused, startup, status, sender_host, sender_port, received_tli,
       slot_name, conninfo`

// More is what a caller asks in the same round trip as the identity.
type More struct {
	// Columns are further columns, each after a comma. They may use those of me:
	// in_recovery, checkpoint_tli, written, wal_tli, received, replayed, paused
	// and received_tli.
	Columns string
	From    string // what they need besides me, such as CROSS JOIN LATERAL …
	Into    []any  // where they go, as for Scan
}

// Identify asks a server who it is: role, system identifier, version, timeline,
// positions and WAL receiver. Everything else in the facts is left as it is in a
// zero value. A role without pg_monitor sees no WAL receiver, even where there
// is one.
//
// Timeline is the one being written (primary) or received (standby), else the
// last checkpoint's, which lags behind a switch.
//
// A promotion may end in the middle of the statement, whose functions then fail or
// answer for two roles; such an answer is asked for again.
func Identify(ctx context.Context, conn *pgx.Conn, more More) (topology.SQLFacts, error) {
	f, err := identify(ctx, conn, more)
	if SQLState(err) == notInThisRole {
		f, err = identify(ctx, conn, more) // a server leaves recovery only once
	}
	return f, err
}

// notInThisRole is how a function answers that is only for recovery, or never for it.
const notInThisRole = "55000"

func identify(ctx context.Context, conn *pgx.Conn, more More) (topology.SQLFacts, error) {
	var r row
	into := append([]any{&r.inRecovery, &r.sysid, &r.version, &r.checkpointTLI, &r.written, &r.walTLI,
		&r.received, &r.replayed, &r.paused, &r.startup, &r.status, &r.host, &r.port, &r.receivedTLI, &r.slot,
		&r.conninfo}, more.Into...)
	err := conn.QueryRow(ctx, identity+more.Columns+"\n  FROM me "+more.From).Scan(into...)
	if err != nil {
		return topology.SQLFacts{}, fmt.Errorf("ask the server who it is: %w", err)
	}
	f, err := r.facts()
	if err != nil {
		return topology.SQLFacts{}, fmt.Errorf("ask the server who it is: %w", err)
	}
	return f, nil
}

// row is the answer as it comes; nil is NULL.
type row struct {
	inRecovery, paused          bool
	sysid                       string
	version                     int
	checkpointTLI               int64
	written, received, replayed *string
	walTLI, receivedTLI         *int64
	startup, status, host, slot *string
	conninfo                    *string // without its password
	port                        *int64
}

func (r *row) facts() (topology.SQLFacts, error) {
	id, err := strconv.ParseUint(r.sysid, 10, 64)
	if err != nil {
		return topology.SQLFacts{}, fmt.Errorf("system identifier %q is not a number", r.sysid)
	}
	f := topology.SQLFacts{InRecovery: r.inRecovery, SystemID: topology.SystemID(id), Version: r.version,
		Timeline: topology.TimelineID(r.checkpointTLI), ReplayPaused: r.paused,
		Startup: value(r.startup),
		Receiver: topology.WALReceiver{Status: value(r.status), SenderHost: value(r.host), Slot: value(r.slot),
			SenderPort: int(value(r.port)), Timeline: topology.TimelineID(value(r.receivedTLI)),
			AppName: appName(value(r.conninfo))}}
	for _, v := range []struct {
		text *string
		to   *topology.LSN
	}{{r.written, &f.Current}, {r.received, &f.Receive}, {r.replayed, &f.Replay}} {
		if v.text == nil {
			continue
		}
		if *v.to, err = topology.ParseLSN(*v.text); err != nil {
			return topology.SQLFacts{}, err
		}
	}
	switch {
	case r.walTLI != nil:
		f.Timeline = topology.TimelineID(*r.walTLI)
	case r.receivedTLI != nil:
		f.Timeline = f.Receiver.Timeline
	}
	return f, nil
}

// Settings of a WAL receiver's conninfo, which PostgreSQL prints as key=value with
// nothing quoted: a value ends before the next key.
var (
	setName      = regexp.MustCompile(`(?:^| )application_name=(.*?)(?: [a-z_]+=|$)`)
	fallbackName = regexp.MustCompile(`(?:^| )fallback_application_name=(.*?)(?: [a-z_]+=|$)`)
)

// appName is the application name in a WAL receiver's conninfo; empty: not known.
// Without a setting it is cluster_name or walreceiver, which PostgreSQL passes as the
// fallback.
func appName(conninfo string) string {
	for _, key := range []*regexp.Regexp{setName, fallbackName} {
		if m := key.FindStringSubmatch(conninfo); m != nil {
			return m[1]
		}
	}
	return ""
}

// value is what p points to, or a zero value for NULL.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
