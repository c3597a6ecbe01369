package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/pcp"
)

// S25: an attach waits in Pgpool-II's queue behind the failure of the primary, and
// the node to be attached has commits that the promoted one never got. Pgpool-II
// carries it out as soon as the hook has returned, and asks nobody: what is lost
// must not be readable then. There is no controller all the while.
func TestS25AttachBehindTheFailureOfThePrimary(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSeparate})
	primary, n, promoted := p.Primary(), p.Standbys()[0], p.Standbys()[1]
	p.Must(p.StopController(p.Ctx, 0))
	p.Must(p.Detach(p.Ctx, n))
	p.detached(n)
	p.Must(p.Exec(p.Ctx, promoted, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'"))
	p.Must(p.Exec(p.Ctx, promoted, "SELECT pg_reload_conf()"))
	p.Wait("the other standby to be cut off", func(ctx context.Context) error {
		return p.value(ctx, promoted, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'", "0")
	})

	// Pgpool-II's main process works off the queue; its others fill it.
	text, err := os.ReadFile(filepath.Join(p.Pgpools[0].Dir, "pgpool.pid"))
	p.Must(err)
	main, err := strconv.Atoi(strings.TrimRight(string(text), "\x00\n"))
	p.Must(err)
	p.Must(syscall.Kill(main, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(main, syscall.SIGCONT) })
	lost, err := p.CommitRows(p.Ctx, primary, 20)
	p.Must(err)
	p.Wait("the detached standby to have them", func(ctx context.Context) error { return p.holds(ctx, n, lost) })
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, primary))
	p.Wait("Pgpool-II to have noted the failure", func(context.Context) error {
		return p.pgpoolSaid(fmt.Sprintf("degenerate backend request for node_id: %d", primary))
	})
	p.Must(p.Attach(p.Ctx, n))
	p.Wait("Pgpool-II to have noted the attach", func(context.Context) error {
		return p.pgpoolSaid(fmt.Sprintf("received failback request for node_id: %d", n))
	})
	p.Must(syscall.Kill(main, syscall.SIGCONT))

	p.Wait("the attach to be carried out", func(ctx context.Context) error {
		done := p.pgpoolSaid(fmt.Sprintf("failback done. reconnect host %s(%d)", p.Nodes[n].Host, p.Nodes[n].Port))
		nodes, err := p.PoolNodes(ctx, 0)
		if err == nil && nodes[n].Status != pcp.StatusDown && p.holds(ctx, n, lost) == nil {
			t.Fatalf("node %d is attached, and shows %d rows that node %d never got", n, len(lost), promoted)
		}
		return errors.Join(done, err)
	})
	if now := p.Primary(); now != promoted {
		t.Fatalf("node %d was promoted, want node %d", now, promoted)
	}
	if missing, err := p.Missing(p.Ctx, promoted, lost); err != nil || len(missing) != len(lost) {
		t.Fatalf("the promoted node misses %d of the %d rows (%v): nothing is shown by this", len(missing), len(lost), err)
	}
	p.Must(p.StartController(p.Ctx, 0))
	p.Whole("the detached standby and the old primary", since)
	p.HealedBy(primary, since, topology.MethodRewind)
	p.Vaulted(n, lost)
	p.HealedBy(n, since, topology.MethodRewind)
	p.Equal()
}

// holds is an error unless the node answers and has all the rows.
func (p *pool) holds(ctx context.Context, node int, rows []lab.Row) error {
	missing, err := p.Missing(ctx, node, rows)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("node %d lacks %d rows", node, len(missing))
	}
	return err
}

// value is an error unless the node answers so.
func (p *pool) value(ctx context.Context, node int, sql, want string) error {
	got, err := p.Value(ctx, node, sql)
	if err == nil && got != want {
		err = fmt.Errorf("%s is %s", sql, got)
	}
	return err
}

// pgpoolSaid is an error until Pgpool-II's log has the words.
func (p *pool) pgpoolSaid(words string) error {
	b, err := os.ReadFile(p.Pgpools[0].LogFile)
	if err == nil && !strings.Contains(string(b), words) {
		err = fmt.Errorf("no %q in its log", words)
	}
	return err
}
