package proof

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/repool/repool/lab"
)

const (
	// idleOnStandby are the slots of repool's that nobody uses; nothing on a primary.
	idleOnStandby = `SELECT string_agg(slot_name, ', ' ORDER BY slot_name) FROM pg_replication_slots
		WHERE pg_is_in_recovery() AND slot_name LIKE 'repool\_node%' AND NOT active`
	// slotsHorizon and sessionsHorizon are how many transactions ago the oldest row
	// version was that the slots of a primary, and the sessions of a standby, still want.
	slotsHorizon = `SELECT coalesce(max(age(xmin)), 0) FROM pg_replication_slots
		WHERE NOT pg_is_in_recovery() AND slot_name LIKE 'repool\_node%'`
	sessionsHorizon = `SELECT coalesce(max(age(backend_xmin)), 0) FROM pg_stat_activity WHERE pg_is_in_recovery()`
	// horizonSlack is how many transactions the clients of a lab's pool make, at most,
	// until a standby's feedback has reached its primary's slot (wal_receiver_status_interval).
	horizonSlack = 50_000
)

// NothingLeft is an error while repool's slots hold something that nobody needs: an
// idle one on a standby, or one on the primary that holds VACUUM back further than
// the standbys' own sessions do. Every node must be up.
func NothingLeft(ctx context.Context, l *lab.Lab) error {
	var errs []error
	number := func(i int, sql string) (n int) {
		text, err := l.Value(ctx, i, sql)
		if err == nil {
			n, err = strconv.Atoi(text)
		}
		errs = append(errs, err)
		return n
	}
	held, needed := 0, 0
	for i := range l.Nodes {
		idle, err := l.Value(ctx, i, idleOnStandby)
		if err == nil && idle != "" {
			err = fmt.Errorf("node %d, a standby, has idle slots: %s", i, idle)
		}
		errs = append(errs, err)
		held, needed = max(held, number(i, slotsHorizon)), max(needed, number(i, sessionsHorizon))
	}
	if held > needed+horizonSlack {
		errs = append(errs, fmt.Errorf("a slot on the primary holds VACUUM back by %d transactions, and no session on "+
			"a standby by more than %d", held, needed))
	}
	return errors.Join(errs...)
}
