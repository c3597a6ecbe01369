package dbhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// longWAL is a stopped node with a checkpoint, much WAL after it, another
// checkpoint at its end, and segments that were renamed for later use. The
// divergence point lies before the second checkpoint.
func longWAL(t *testing.T) (n *node, redo topology.LSN, primary topology.History) {
	t.Helper()
	n = newNode(t, 0, setup{})
	n.start()
	lsn := func(sql string) topology.LSN {
		l, err := topology.ParseLSN(n.query(sql))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	n.exec("CHECKPOINT")
	redo = lsn("SELECT redo_lsn::text FROM pg_control_checkpoint()")
	n.exec("CREATE TABLE t AS SELECT g, repeat('x', 1000) v FROM generate_series(1, 8000) g")
	limit := lsn("SELECT pg_current_wal_insert_lsn()::text")
	n.exec("INSERT INTO t VALUES (0, 'own')", "CHECKPOINT")
	n.crash()
	const recycled = 100
	old := readFile(t, filepath.Join(n.dir, "pg_wal", topology.WALFileName(1, redo, 1<<20)))
	last := lsnOfControl(t, n)
	for i := range recycled {
		path := filepath.Join(n.dir, "pg_wal", topology.WALFileName(1, last+topology.LSN((i+10)<<20), 1<<20))
		writeFile(t, path, old)
		longAgo := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, longAgo, longAgo); err != nil {
			t.Fatal(err)
		}
	}
	return n, redo, topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: limit}}}
}

func lsnOfControl(t *testing.T, n *node) topology.LSN {
	t.Helper()
	c, err := n.Control("home")
	if err != nil {
		t.Fatal(err)
	}
	return c.CheckpointLSN
}

// bytesRead is how much this process has read so far.
func bytesRead(t *testing.T) (n int64) {
	t.Helper()
	for line := range strings.Lines(readFile(t, "/proc/self/io")) {
		if rest, ok := strings.CutPrefix(line, "rchar: "); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// TestASecondLookReadsLittle: neither the way back to the last common checkpoint
// nor the segments kept for later use are read again. Not parallel, so that nothing
// else reads meanwhile.
func TestASecondLookReadsLittle(t *testing.T) {
	n, redo, primary := longWAL(t)
	first, err := n.ProbeWAL(t.Context(), primary)
	if err != nil || !first.Beyond || first.LastCheckpoint != redo {
		t.Fatalf("got %+v (%v), want a last common checkpoint from %s", first, err, redo)
	}
	before := bytesRead(t)
	again, err := n.ProbeWAL(t.Context(), primary)
	if err != nil || again.LastCheckpoint != redo || again.End != first.End {
		t.Errorf("the second look: got %+v (%v), want %+v", again, err, first)
	}
	if got := bytesRead(t) - before; got > 3<<20 {
		t.Errorf("the second look read %d bytes", got)
	}
}

// TestALongSearchIsFinishedInTheBackground: a caller whose time is over learns that
// the search goes on, callers for the same thing share it, and a later one gets the
// answer.
func TestALongSearchIsFinishedInTheBackground(t *testing.T) {
	t.Parallel()
	n, redo, primary := longWAL(t)
	n.checkpoints.turn <- struct{}{} // another search runs
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := n.ProbeWAL(ctx, primary)
		cancel()
		if !errors.Is(err, errSearching) && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got error %v", err)
		}
	}
	if len(n.checkpoints.byKey) != 1 {
		t.Fatalf("%d searches for one thing", len(n.checkpoints.byKey))
	}
	<-n.checkpoints.turn
	if p, err := n.ProbeWAL(t.Context(), primary); err != nil || p.LastCheckpoint != redo {
		t.Errorf("got %+v (%v), want a last common checkpoint from %s", p, err, redo)
	}
	n.checkpoints.turn <- struct{}{} // now no search can run, and none needs to
	if p, err := n.ProbeWAL(t.Context(), primary); err != nil || p.LastCheckpoint != redo {
		t.Errorf("afterwards: got %+v (%v), want a last common checkpoint from %s", p, err, redo)
	}
	<-n.checkpoints.turn
}

// TestAStoppedLookSaysSo: a look ends with its caller.
func TestAStoppedLookSaysSo(t *testing.T) {
	t.Parallel()
	n, _, primary := longWAL(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.ProbeWAL(ctx, primary); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}
