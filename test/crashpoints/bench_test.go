package crashpoints

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/proof"
	"github.com/repool/repool/test/testpool"
)

// bench is a pool of one primary and one standby on which points are tried one
// after the other, and what is known of the one being tried.
type bench struct {
	*lab.Lab
	t     testing.TB
	ctx   context.Context
	ctl   *control.Client
	guard *proof.Guard

	node  int       // the one to be resynced
	lost  []lab.Row // committed there alone
	prods time.Time // the last prod
	// ordered: the agent has taken the test's own order.
	ordered bool
}

// quick makes repool try again at once: the tests are about where it ends, not
// about its patience.
const quick = `policy: {backoff_base: 200ms, backoff_max: 1s, follow_grace: 2s, stream_patience: 2s}
`

// newBench builds a pool; with a script it has that for its resync_command.
func newBench(t testing.TB, script string) *bench {
	t.Helper()
	bin := testpool.CrashBinary(t)
	o := lab.Options{Standbys: 1, Agents: lab.AgentsSeparate, Repool: bin, Hooks: true, Controller: true,
		RepoolConfig: quick,
		// Little WAL: a rewind copies all that the primary has.
		WALKeepSize: "32MB", Settings: map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB",
			"wal_retrieve_retry_interval": "200ms"},
		Pgpool: map[string]string{"search_primary_node_timeout": "2"}}
	if script != "" {
		o.Pgpool["resync_command"] = script + ` "%D" "%H" "%r"`
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	l := testpool.Build(ctx, t, o)
	b := &bench{Lab: l, t: t, ctx: ctx, ctl: control.NewClient(l.ControllerSocket(0))}
	b.guard = proof.Watch(l, proof.GuardOptions{Every: 50 * time.Millisecond, Check: b.halfDone})
	t.Cleanup(func() { b.guard.Stop() })
	return b
}

func (b *bench) dir() string     { return b.Nodes[b.node].DataDir }
func (b *bench) workDir() string { return b.Nodes[b.node].WorkDir() }
func (b *bench) vault() string   { return filepath.Join(b.workDir(), "vault") }

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wait(what string, try func(context.Context) error) {
	b.t.Helper()
	b.must(b.await(what, try))
}

func (b *bench) await(what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(b.ctx, testpool.Patience)
	defer cancel()
	return lab.WaitFor(ctx, what, try)
}

// knock is a client that makes Pgpool-II notice a dead node at once.
func (b *bench) knock() {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	if conn, err := pgx.Connect(ctx, b.PoolConnString()); err == nil {
		_ = conn.Close(ctx) // that it asked is enough
	}
}

// prod lets the controller look now, a few times a second.
func (b *bench) prod() {
	if time.Since(b.prods) < 200*time.Millisecond || !b.ControllerRuns(0) {
		return
	}
	b.prods = time.Now()
	_ = b.ctl.Look(b.ctx, "test") // it looks every second anyway
}

func (b *bench) primary() int {
	p, err := b.WaitPrimary(b.ctx)
	b.must(err)
	return p
}

// arm starts the node's agent so that it dies at a point, which it may have done
// before it was seen to listen. Only this one start has the point in its environment.
func (b *bench) arm(name string) {
	b.must(b.SetEnv(resync.CrashEnv, name))
	if err := b.StartAgent(b.ctx, b.node); !errors.Is(err, lab.ErrKilled) {
		b.must(err)
	}
	b.must(b.SetEnv(resync.CrashEnv, ""))
}

// errPassed: the way was gone to its end, and the agent lives.
var errPassed = errors.New("the node is attached again and the agent never came there")

// dead waits until the armed agent has killed itself.
func (b *bench) dead(name string, during func(*bench)) error {
	armed := time.Now()
	return b.await("the agent to die at "+name, func(ctx context.Context) error {
		if !b.AgentRuns(b.node) {
			return nil
		}
		if during != nil {
			during(b)
		}
		b.prod()
		if time.Since(armed) > 3*time.Second && b.healthy(ctx, armed) == nil {
			return lab.Stop(errPassed)
		}
		return errors.New("it lives")
	})
}

// healthy says what is missing for all to be attached, level and proven.
func (b *bench) healthy(ctx context.Context, after time.Time) error {
	return testpool.Healthy(ctx, b.Lab, b.ctl, after)
}

// whole waits until the pool is healthy, and says whether a person had to
// release the node.
func (b *bench) whole(after time.Time) (parked codes.Code, err error) {
	err = b.await("full redundancy", func(ctx context.Context) error {
		b.prod()
		err := b.healthy(ctx, after)
		if err == nil {
			return nil
		}
		st, e := b.ctl.Status(ctx)
		if e != nil {
			return err
		}
		for _, m := range st.Memory.Nodes {
			if int(m.Node) == b.node && m.Parked != "" {
				parked = m.Parked
				return errors.Join(err, b.ctl.Release(ctx, m.Node, "test"))
			}
		}
		return err
	})
	return parked, err
}

// newest is the newest record of the node's journal.
func newest(workDir string) (rec journal.Record) {
	files, err := filepath.Glob(filepath.Join(workDir, "journal", "*.json"))
	if err != nil {
		return rec
	}
	for _, path := range files {
		var r journal.Record
		if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &r) == nil && r.Seq > rec.Seq {
			rec = r
		}
	}
	return rec
}

// halfDone looks for a server in a directory that nobody may start.
func (b *bench) halfDone([]lab.NodeStatus) (bad []string) {
	for _, n := range b.Nodes {
		damaged := newest(n.WorkDir()).Repair == journal.RepairDamaged
		if damaged && b.ServersIn(filepath.Join(n.WorkDir(), "repair")) > 0 {
			bad = append(bad, fmt.Sprintf("node %d: a server runs in the half-done directory in repair", n.ID))
		}
		if b.ServersIn(filepath.Join(n.WorkDir(), "new")) > 0 {
			bad = append(bad, fmt.Sprintf("node %d: a server runs in the unfinished copy", n.ID))
		}
	}
	return bad
}

// killPrograms kills what the dead agent has left at work on the node.
func (b *bench) killPrograms() {
	b.Signal(syscall.SIGKILL, "pg_rewind", b.workDir())
	b.Signal(syscall.SIGKILL, "pg_basebackup", b.workDir())
	b.Signal(syscall.SIGKILL, "pg_verifybackup", b.workDir())
	b.Signal(syscall.SIGKILL, "postgres", b.workDir())
}
