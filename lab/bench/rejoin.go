package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/pcp"
)

// quickly is lab.WaitFor with an even, short pause between two looks: what is
// timed must not be rounded to the patience of a test.
func quickly(ctx context.Context, what string, try func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, err)
		case <-tick.C:
		}
	}
}

// rewriteAccounts writes much WAL in one statement.
func rewriteAccounts(ctx context.Context) func(*pgx.Conn) error {
	return func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 4 = 0; VACUUM "+
			"pgbench_accounts")
		if err != nil {
			_, err = c.Exec(ctx, "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 4 = 0")
		}
		return err
	}
}

// level waits until the standbys have all that node p has written.
func (b *bench) level(ctx context.Context, p int) error {
	return lab.WaitFor(ctx, "the standbys to have everything", func(ctx context.Context) error {
		ok, err := b.l.Value(ctx, p, "SELECT count(*) = 2 AND bool_and(flush_lsn = pg_current_wal_insert_lsn()) FROM "+
			"pg_stat_replication")
		if err == nil && ok != "true" {
			err = errors.New("WAL is still on its way")
		}
		return err
	})
}

// fail kills the primary, with lost commits or without, and waits until
// another node is the primary for itself. It returns the time of that.
func (b *bench) fail(ctx context.Context, lose bool) (old, now int, at time.Time, err error) {
	if old, err = b.l.WaitPrimary(ctx); err != nil {
		return
	}
	if lose {
		if _, err = b.l.Diverge(ctx, old, 50); err != nil {
			return
		}
	} else if err = b.level(ctx, old); err != nil {
		return
	}
	if err = b.l.KillNode(ctx, old); err != nil {
		return
	}
	err = quickly(ctx, "a promotion", func(ctx context.Context) error {
		for i := range b.l.Nodes {
			if i == old {
				continue
			}
			if rec, e := b.l.Value(ctx, i, "SELECT pg_is_in_recovery()"); e == nil && rec == "false" {
				now, at = i, time.Now()
				return nil
			}
		}
		return errors.New("nobody is promoted yet")
	})
	return
}

// attached waits until Pgpool-II routes to a node that streams. It asks in the
// cheapest way, first the node and then Pgpool-II: what measures must not take
// the processors from what is measured.
func (b *bench) attached(ctx context.Context, node int) (time.Time, error) {
	err := quickly(ctx, fmt.Sprintf("node %d attached", node), func(ctx context.Context) error {
		if b.l.Postmaster(node) == 0 {
			return errors.New("its server does not run")
		}
		ok, err := b.l.Value(ctx, node, "SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		if err != nil {
			return err
		}
		if ok != "true" {
			return errors.New("it does not stream")
		}
		return pcp.With(ctx, b.l.PCP(0), func(c *pcp.Conn) error {
			h, err := c.HealthStats(ctx, node)
			if err == nil && !h.Attached() {
				err = errors.New("it is " + h.Status)
			}
			return err
		})
	})
	return time.Now(), err
}

// byHand makes the old primary a standby of the new one as a person would.
func (b *bench) byHand(ctx context.Context, old, now int, rewind bool) error {
	o, n := b.l.Nodes[old], b.l.Nodes[now]
	conninfo := fmt.Sprintf("host=%s port=%d user=repl passfile=%s application_name=%s", n.Host, n.Port,
		filepath.Join(b.l.Dir, ".pgpass"), o.Name)
	own := map[string][]byte{}
	if rewind {
		for _, f := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf"} {
			text, err := os.ReadFile(filepath.Join(o.DataDir, f))
			if err != nil {
				return err
			}
			own[f] = text
		}
		if err := b.l.Exec(ctx, now, "CHECKPOINT"); err != nil {
			return err
		}
		source := fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", b.l.Sockets, n.Port)
		if out, err := b.l.Command(ctx, "pg_rewind", "--target-pgdata", o.DataDir, "--source-server",
			source).CombinedOutput(); err != nil {
			return fmt.Errorf("pg_rewind: %w\n%s", err, out)
		}
	}
	for f, text := range own {
		if err := pgdata.ReplaceFile(filepath.Join(o.DataDir, f), text); err != nil {
			return err
		}
	}
	auto := filepath.Join(o.DataDir, "postgresql.auto.conf")
	text, err := os.ReadFile(auto)
	if err != nil {
		return err
	}
	set := map[string]string{"primary_conninfo": conninfo, "primary_slot_name": "", "recovery_target_timeline": "latest"}
	if err := pgdata.ReplaceFile(auto, []byte(pgdata.SetConf(string(text), set, nil))); err != nil {
		return err
	}
	signal := filepath.Join(o.DataDir, "standby.signal")
	if out, err := b.l.Command(ctx, "touch", signal).CombinedOutput(); err != nil {
		return fmt.Errorf("touch: %w\n%s", err, out)
	}
	if err := b.l.StartNode(ctx, old); err != nil {
		return err
	}
	err = quickly(ctx, "the old primary to stream", func(ctx context.Context) error {
		ok, err := b.l.Value(ctx, old, "SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		if err == nil && ok != "true" {
			err = errors.New("not yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	return b.l.Attach(ctx, old)
}

// rejoin measures both sides in turn: from the promotion to the old primary
// attached and streaming.
func (b *bench) rejoin(ctx context.Context, lose bool) (hand, repool []time.Duration, err error) {
	for range b.o.Rounds {
		if err := b.l.StopController(ctx, 0); err != nil {
			return nil, nil, err
		}
		old, now, at, err := b.fail(ctx, lose)
		if err != nil {
			return nil, nil, err
		}
		if err := b.byHand(ctx, old, now, lose); err != nil {
			return nil, nil, err
		}
		end, err := b.attached(ctx, old)
		if err != nil {
			return nil, nil, err
		}
		hand = append(hand, end.Sub(at))
		if err := b.l.StartController(ctx, 0); err != nil {
			return nil, nil, err
		}
		if err := b.whole(ctx); err != nil {
			return nil, nil, err
		}
		old, _, at, err = b.fail(ctx, lose)
		if err != nil {
			return nil, nil, err
		}
		if end, err = b.attached(ctx, old); err != nil {
			return nil, nil, err
		}
		repool = append(repool, end.Sub(at))
		if err := b.whole(ctx); err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(b.o.Log, "  by hand %.2f s, repool %.2f s\n", hand[len(hand)-1].Seconds(),
			repool[len(repool)-1].Seconds())
	}
	return hand, repool, nil
}

func (b *bench) adopt(ctx context.Context) error {
	hand, repool, err := b.rejoin(ctx, false)
	if err != nil {
		return err
	}
	b.rep.Measures = append(b.rep.Measures, versus("adopt: old primary attached after promotion", hand, repool, 1.3,
		time.Second))
	return nil
}

func (b *bench) rewind(ctx context.Context) error {
	hand, repool, err := b.rejoin(ctx, true)
	if err != nil {
		return err
	}
	m := versus("rewind: old primary attached after promotion", hand, repool, 1.2, time.Second)
	events, err := b.ctl.History(ctx, event.Filter{Kind: "run", Limit: 50})
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Code == "done" {
			m.Note = e.Text
		}
	}
	b.rep.Measures = append(b.rep.Measures, m)
	return nil
}

// follow measures when the other standby streams on the new timeline, and that
// neither its server nor a session of it ended.
func (b *bench) follow(ctx context.Context) error {
	var took []time.Duration
	kept := true
	for range b.o.Rounds {
		p, err := b.l.WaitPrimary(ctx)
		if err != nil {
			return err
		}
		var pids [3]int
		var sessions [3]*pgx.Conn
		for i := range b.l.Nodes {
			pids[i] = b.l.Postmaster(i)
			if i == p {
				continue
			}
			if sessions[i], err = pgx.Connect(ctx, b.l.ConnString(i)); err != nil {
				return err
			}
		}
		_, now, at, err := b.fail(ctx, false)
		if err != nil {
			return err
		}
		other := 3 - p - now
		tli, err := b.l.Value(ctx, now, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
		if err != nil {
			return err
		}
		want, err := strconv.ParseUint(tli, 16, 32)
		if err != nil {
			return err
		}
		err = quickly(ctx, "the other standby on the new timeline", func(ctx context.Context) error {
			var ok bool
			err := sessions[other].QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming' "+
				"AND received_tli = $1)", want).Scan(&ok)
			if err == nil && !ok {
				err = errors.New("not yet")
			}
			return err
		})
		if err != nil {
			return err
		}
		took = append(took, time.Since(at))
		kept = kept && b.l.Postmaster(other) == pids[other] && sessions[other].Ping(ctx) == nil
		for _, s := range sessions {
			if s != nil {
				_ = s.Close(ctx) // the killed or promoted node's session may be gone
			}
		}
		if err := b.whole(ctx); err != nil {
			return err
		}
	}
	m := Measure{Name: "other standby streaming after promotion", Repool: median(took), Unit: "s", Rounds: len(took),
		Aim: "within 0.5 s, server and session kept"}
	m.Met = m.Repool <= 0.5 && kept
	if !kept {
		m.Note = "the server or its session ended"
	}
	b.rep.Measures = append(b.rep.Measures, m)
	return nil
}
