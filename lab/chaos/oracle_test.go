package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

func TestMain(m *testing.M) { testpool.Main(m) }

// planted is a real pool in which a test breaks promises by hand.
type planted struct {
	*run
	t   *testing.T
	ctx context.Context
}

func plant(t *testing.T) *planted {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	p := &planted{run: newRun(Options{Repool: testpool.Binary(t), Seed: 1, Out: t.Output()}), t: t, ctx: ctx}
	p.must(p.choose())
	p.must(p.build(ctx))
	stop := p.watch()
	t.Cleanup(func() {
		defer cancel()
		stop()
		p.report.OK = true // the violations were wanted: nothing is kept
		if err := p.down(ctx); err != nil {
			t.Error(err)
		}
	})
	p.must(p.writer.WaitAcked(ctx, 50))
	p.must(p.lab.WaitHealthy(ctx))
	return p
}

func (p *planted) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// counts wants exactly these violations at a quiet moment, by their beginnings.
func (p *planted) counts(want ...string) {
	p.t.Helper()
	p.report.Violations = nil
	p.must(p.count(p.ctx, 0))
	got := p.report.Violations
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		p.t.Errorf("violations %q, want %q", got, want)
	}
}

// eventually waits for what a look, ten a second, is to see.
func (p *planted) eventually(what string, seen func() (string, bool)) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	p.must(lab.WaitFor(ctx, what, func(context.Context) error {
		text, ok := seen()
		if ok {
			p.t.Logf("%s: %s", what, text)
			return nil
		}
		return errors.New("not seen yet: " + text)
	}))
}

func containing(list []string, part string) (string, bool) {
	for _, s := range list {
		if strings.Contains(s, part) {
			return s, true
		}
	}
	return fmt.Sprintf("%q", list), false
}

// copiesThatDiffer forges a byte in the file of a table on one standby.
func (p *planted) copiesThatDiffer() {
	p.t.Helper()
	primary, err := p.thePrimary(p.ctx)
	p.must(err)
	standby := (primary + 1) % len(p.lab.Nodes)
	table := func(sql string) {
		p.must(p.lab.With(p.ctx, primary, "app", func(c *pgx.Conn) error {
			_, err := c.Exec(p.ctx, sql)
			return err
		}))
	}
	table("CREATE TABLE app.witness AS SELECT 'the planted word'::text AS word")
	var path string
	p.must(p.lab.With(p.ctx, primary, "app", func(c *pgx.Conn) error {
		return c.QueryRow(p.ctx, "SELECT pg_relation_filepath('app.witness')").Scan(&path)
	}))
	p.counts()
	// Then the standby's fast stop writes the page, and replay leaves it alone.
	p.must(p.lab.Exec(p.ctx, primary, "CHECKPOINT"))
	_, err = p.lab.WaitReplayed(p.ctx, primary)
	p.must(err)
	p.must(p.lab.KillController(p.ctx, 0)) // it would start the standby meanwhile
	p.must(p.lab.StopNode(p.ctx, standby, lab.Fast))
	path = filepath.Join(p.lab.Nodes[standby].DataDir, path)
	page, err := os.ReadFile(path)
	p.must(err)
	forged := bytes.Replace(page, []byte("planted"), []byte("altered"), 1)
	if bytes.Equal(page, forged) {
		p.t.Fatal("the word is not in the file")
	}
	p.must(os.WriteFile(path, forged, 0o600))
	p.must(p.lab.StartNode(p.ctx, standby))
	p.counts("the copies differ: ")
	table("DROP TABLE app.witness")
	p.must(p.lab.StartController(p.ctx, 0))
	p.must(p.lab.WaitHealthy(p.ctx))
	p.counts()
}

// attachedAstray attaches the old primary, which holds rows of its own, as a
// standby that streams from nobody, and holds it there; then as a primary.
func (p *planted) attachedAstray(old int) {
	p.t.Helper()
	p.must(p.lab.KillController(p.ctx, 0)) // it would detach the node
	rows, err := p.lab.Diverge(p.ctx, old, 5)
	p.must(err)
	p.must(p.lab.KillNode(p.ctx, old))
	_, err = p.lab.WaitNewPrimary(p.ctx, old)
	p.must(err)
	signal := filepath.Join(p.lab.Nodes[old].DataDir, "standby.signal")
	p.must(p.lab.Command(p.ctx, "touch", signal).Run())
	p.must(p.lab.StartNode(p.ctx, old))
	p.readers.mu.Lock()
	p.readers.attached.Limit = 3 * time.Second
	p.readers.mu.Unlock()
	p.eventually("the node seen to be down", func() (string, bool) {
		p.readers.mu.Lock()
		defer p.readers.mu.Unlock()
		return p.readers.pool[old], p.readers.pool[old] == "down"
	})
	p.eventually("an attach that cannot be older than the promotion", func() (string, bool) {
		p.readers.mu.Lock()
		defer p.readers.mu.Unlock()
		return "", !p.readers.attached.MayFollowLater(time.Now())
	})
	p.must(p.lab.Attach(p.ctx, old))
	problem := func(part string) func() (string, bool) {
		return func() (string, bool) {
			_, problems := p.readers.result()
			return containing(problems, part)
		}
	}
	p.eventually("an attach of a node that does not stream", problem("was attached and does not stream"))
	p.eventually("a node that stays attached so", problem("without the stream of the primary"))
	p.missing = rows
	p.eventually("rows of the lost timeline", func() (string, bool) {
		return containing(p.readers.stale(rows), "of the lost timeline")
	})

	p.must(p.lab.StopNode(p.ctx, old, lab.Immediate))
	p.must(p.lab.WaitDetached(p.ctx, old))
	p.must(os.Remove(signal))
	p.must(p.lab.StartNode(p.ctx, old))
	p.must(p.lab.Attach(p.ctx, old))
	p.eventually("a second primary", func() (string, bool) {
		return containing(p.guard.Result().Violations, "is attached and a primary on timeline")
	})
	if !p.broken() {
		p.t.Error("the run would go on")
	}
}

// An oracle that cannot fail proves nothing: each promise that chaos looks after
// is broken here by hand, once, and must be reported.
func TestEveryViolationIsSeen(t *testing.T) {
	t.Parallel()
	p := plant(t)
	p.counts() // nothing is wrong yet

	// A vault report that calls a row lost which is there.
	row := p.writer.Acked()[0]
	vault := filepath.Join(p.lab.Nodes[row.Node].WorkDir(), "vault", "planted")
	p.must(os.MkdirAll(vault, 0o755))
	p.must(os.WriteFile(filepath.Join(vault, "report.json"), fmt.Appendf(nil,
		`{"node": %d, "diverged": "0/1000", "history": {"tli": %d}, "commits": [{"xid": %d, "lsn": "0/2000"}]}`, row.Node,
		row.Timeline, row.XID), 0o644))
	p.counts("called lost by a vault, and present: 1 rows")
	p.must(os.RemoveAll(filepath.Dir(vault)))

	p.copiesThatDiffer()

	// A row that is deleted behind everybody's back; the other copies follow.
	primary, err := p.thePrimary(p.ctx)
	p.must(err)
	p.must(p.lab.With(p.ctx, primary, "app", func(c *pgx.Conn) error {
		_, err := c.Exec(p.ctx, "DELETE FROM app.ledger WHERE payload = $1", row.Payload)
		return err
	}))
	p.counts("acknowledged, and neither present nor in a vault: 1 rows")
	p.o.Sync = true
	p.counts("acknowledged, and neither present nor in a vault: 1 rows",
		"acknowledged under synchronous replication, and missing: 1 rows")
	p.o.Sync = false

	p.attachedAstray(primary)
	p.report.Violations = nil
	p.judge()
	for _, part := range []string{"was attached and does not stream", "without the stream of the primary",
		"stale reads, the first: ", "is attached and a primary on timeline"} {
		if _, ok := containing(p.report.Violations, part); !ok {
			t.Errorf("the report does not say %q: %q", part, p.report.Violations)
		}
	}
}
