package hook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// starting is a primary that is in crash recovery: it refuses every login.
func starting() *fakeNode {
	return &fakeNode{down: true, why: fmt.Errorf("connect: %w", &pgconn.PgError{Code: postgres.CannotConnectNow})}
}

func TestResumeOfAnOldEvent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old    *fakeNode       // node 0, which the event is about
		age    time.Duration   // of the event
		record topology.NodeID // the last primary, seen so long after the event; after zero: none
		after  time.Duration
		status string // pgpool_status; empty: no such file
		code   Code
	}{
		"a month old, the primary is starting": {old: starting(), age: 30 * 24 * time.Hour, code: CodeOutdated},
		"a month old, the primary hangs":       {old: &fakeNode{silent: true}, age: 30 * 24 * time.Hour, code: CodeOutdated},
		"from the future":                      {old: dead(), age: -time.Hour, code: CodeOutdated},
		"the clock was put back by a second":   {old: dead(), age: -time.Second, code: CodePromoted},
		"just interrupted":                     {old: dead(), age: time.Minute, status: "down\nup\nup\n", code: CodePromoted},
		"Pgpool-II routes to the node again":   {old: dead(), age: time.Minute, status: "up\nup\nup\n", code: CodeOutdated},
		"a later primary is on record, and dead": {old: dead(), age: time.Minute, record: 3, after: time.Second,
			code: CodeOutdated},
		"it was the primary again after the call": {old: dead(), age: time.Minute, record: 0, after: time.Second,
			code: CodeOutdated},
		"an earlier primary is on record": {old: dead(), age: time.Minute, record: 0, after: -time.Hour,
			code: CodePromoted},
		"a record from the future": {old: dead(), age: time.Minute, record: 0, after: time.Hour,
			code: CodePromoted},
		"the primary is starting": {old: starting(), age: time.Minute, code: CodeStarting},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(c.old, standby(0x100), standby(0x200), dead())
			d := w.deps(t)
			d.Pool.Pgpool.WorkDir = t.TempDir()
			if c.status != "" {
				write(t, filepath.Join(d.Pool.Pgpool.WorkDir, "pgpool_status"), c.status)
			}
			e := lost
			e.At = time.Now().Add(-c.age)
			if err := spoolOf(d.stateDir()).put(&e, true); err != nil {
				t.Fatal(err)
			}
			if c.after != 0 {
				r := Primary{Node: c.record, SystemID: 77, History: topology.History{TLI: 1}, At: e.At.Add(c.after)}
				if err := NotePrimary(d.stateDir(), r); err != nil {
					t.Fatal(err)
				}
			}
			r, err := Resume(t.Context(), d, e)
			if r.Code != c.code || (err == nil) != (c.code != CodeStarting) {
				t.Fatalf("%+v, %v", r, err)
			}
			events, perr := Pending(d.stateDir())
			if perr != nil || (len(events) == 0) != (err == nil) {
				t.Errorf("pending %v, %v", events, perr)
			}
			if c.code == CodePromoted {
				return
			}
			if c.old.fenced != 0 || len(w.order) != 0 {
				t.Errorf("fenced %d times, promotions %v", c.old.fenced, w.order)
			}
			if !strings.Contains(w.log.String(), string(c.code)) {
				t.Errorf("not told:\n%s", w.log.String())
			}
			if done, derr := finished(spoolOf(d.stateDir())); derr != nil || done != 1 && err == nil {
				t.Errorf("%d events kept, %v", done, derr)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A server that refuses logins while it starts will be a primary: it is stopped first.
func TestFailoverDoesNotPromoteBesideAStartingPrimary(t *testing.T) {
	t.Parallel()
	old := starting()
	old.noAgent = true
	w := newWorld(old, standby(0x100))
	if r, err := Failover(t.Context(), w.deps(t), lost); err == nil || r.Code != CodeNotFenced || len(w.order) != 0 {
		t.Errorf("%+v, %v, promotions %v", r, err, w.order)
	}
}
