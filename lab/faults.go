package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
)

// FreezeWalsenders stops the processes of node i that send WAL, and no others:
// it goes on taking commits and none reaches a standby. Thaw ends it. With
// synchronous standbys commits then wait.
func (l *Lab) FreezeWalsenders(ctx context.Context, i int) error {
	var pids []int
	err := l.With(ctx, i, "postgres", func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'")
		if err != nil {
			return err
		}
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int])
		return err
	})
	if err != nil {
		return fmt.Errorf("freeze the WAL senders: %w", err)
	}
	if len(pids) == 0 {
		return fmt.Errorf("freeze the WAL senders of node %d: it has none", i)
	}
	for _, p := range l.nodeProcs(i) {
		if slices.Contains(pids, p.PID) {
			p.signal(syscall.SIGSTOP)
		}
	}
	l.logf("node %d: %d WAL senders frozen", i, len(pids))
	return nil
}

// Diverge freezes node i's WAL senders and commits n rows there, one
// transaction each, so that only this node holds them. It returns the rows.
// Kill the node afterwards; a thaw would send them on.
func (l *Lab) Diverge(ctx context.Context, i, n int) ([]Row, error) {
	if err := l.FreezeWalsenders(ctx, i); err != nil {
		return nil, err
	}
	return l.CommitRows(ctx, i, n)
}

// CommitRows commits n rows directly on node i, one transaction each, without
// waiting for any standby.
func (l *Lab) CommitRows(ctx context.Context, i, n int) ([]Row, error) {
	var rows []Row
	err := l.With(ctx, i, "app", func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "SET synchronous_commit = local"); err != nil {
			return err
		}
		var start string
		if err := c.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&start); err != nil {
			return err
		}
		for k := range n {
			row := Row{Node: i, Payload: fmt.Sprintf("by hand on node %d at %s, %d", i, start, k+1)}
			if err := c.QueryRow(ctx, insertRow, row.Payload).Scan(&row.ID, &row.XID, &row.Port, &row.Timeline); err != nil {
				return err
			}
			row.At = time.Now()
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		return rows, fmt.Errorf("commit rows by hand: %w", err)
	}
	l.logf("node %d: %d rows committed by hand", i, n)
	return rows, nil
}

// DestroyData removes a node's data directory, whether or not its server runs.
func (l *Lab) DestroyData(_ context.Context, i int) error {
	// A running server may add files meanwhile.
	var err error
	for range 20 {
		err = os.RemoveAll(l.Nodes[i].DataDir)
		if errors.Is(err, unix.EBUSY) { // a mount point stays, and only when all that was in it has gone
			err = nil
		}
		if err == nil {
			l.logf("node %d: data directory destroyed", i)
			return nil
		}
	}
	return fmt.Errorf("destroy the data of node %d: %w", i, err)
}

// RecycleWAL makes node i, a primary, switch segments and checkpoint until the
// segment it was writing when called is gone. An error tells what holds it: a
// slot does unless max_slot_wal_keep_size bounds it.
func (l *Lab) RecycleWAL(ctx context.Context, i int) error {
	old, err := l.Value(ctx, i, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	if err != nil {
		return fmt.Errorf("recycle WAL: %w", err)
	}
	keep, err := l.Value(ctx, i, "SELECT GREATEST(setting::bigint, 0) / 16 FROM pg_settings WHERE name = 'wal_keep_size'")
	if err != nil {
		return fmt.Errorf("recycle WAL: %w", err)
	}
	segments, err := strconv.Atoi(keep)
	if err != nil {
		return fmt.Errorf("recycle WAL: wal_keep_size is %q: %w", keep, err)
	}
	for k := range segments + 8 {
		for _, sql := range []string{"SELECT pg_logical_emit_message(true, 'lab', 'filler')", "SELECT pg_switch_wal()"} {
			if err := l.Exec(ctx, i, sql); err != nil {
				return fmt.Errorf("recycle WAL: %w", err)
			}
		}
		if k < segments {
			continue
		}
		if err := l.Exec(ctx, i, "CHECKPOINT"); err != nil {
			return fmt.Errorf("recycle WAL: %w", err)
		}
		if !exists(filepath.Join(l.Nodes[i].DataDir, "pg_wal", old)) {
			l.logf("node %d: WAL recycled, %s is gone", i, old)
			return nil
		}
	}
	return l.whatHolds(ctx, i, old)
}

// whatHolds explains why a segment stays.
func (l *Lab) whatHolds(ctx context.Context, i int, segment string) error {
	_, start, _ := topology.ParseWALFileName(segment, 16<<20)
	holds, err := l.Value(ctx, i, `SELECT COALESCE(string_agg(slot_name, ', '), 'no slot')
		FROM pg_replication_slots WHERE restart_lsn < $1::text::pg_lsn + 16777216`, start.String())
	if err != nil {
		return fmt.Errorf("recycle WAL: %w", err)
	}
	return fmt.Errorf("recycle WAL of node %d: segment %s is still there; held by %s", i, segment, holds)
}

// FillDisk fills node i's own file system (Options.DiskMB) but for leave bytes.
func (l *Lab) FillDisk(_ context.Context, i int, leave int64) error {
	if l.opts.DiskMB == 0 {
		return errors.New("fill the disk: the lab was made without Options.DiskMB")
	}
	var st unix.Statfs_t
	if err := unix.Statfs(l.Nodes[i].Home, &st); err != nil {
		return fmt.Errorf("fill the disk of node %d: %w", i, err)
	}
	size := int64(st.Bavail)*st.Bsize - leave
	if size <= 0 {
		return nil
	}
	f, err := os.OpenFile(l.ballast(i), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk of node %d: %w", i, err)
	}
	defer f.Close()
	have, err := f.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("fill the disk of node %d: %w", i, err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, have, size); err != nil {
		return fmt.Errorf("fill the disk of node %d: %w", i, err)
	}
	l.logf("node %d: disk filled but for %d bytes", i, leave)
	return nil
}

// FreeDisk undoes FillDisk.
func (l *Lab) FreeDisk(_ context.Context, i int) error {
	if err := os.Remove(l.ballast(i)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("free the disk of node %d: %w", i, err)
	}
	return nil
}

func (l *Lab) ballast(i int) string { return filepath.Join(l.Nodes[i].Home, "ballast") }

// Signal sends sig to the lab's processes whose command line contains every
// one of words, such as "pg_rewind" and a data directory: how to kill a
// resync's program in mid-work. It returns how many it reached.
func (l *Lab) Signal(sig syscall.Signal, words ...string) int {
	ps := l.with(words)
	signalAll(ps, sig)
	return len(ps)
}
