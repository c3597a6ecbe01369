package upstream

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/repool/repool/lab"
)

const noRewind = "no rewind required"

// streams is whether the new primary's own line comes in. On the line that was
// left, a receiver is "streaming" for a moment, up to the switch point.
const streams = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming' AND received_tli > 1"

// TestACrashedPrimaryThatLostNothing: what becomes of its directory, by how its
// crash recovery is done. That it can be adopted without any is dbhost's test.
func TestACrashedPrimaryThatLostNothing(t *testing.T) {
	p := up(t, lab.Options{Standbys: 1})
	p.Must(p.StopPgpool(p.Ctx, 0))
	_, err := p.CommitRows(p.Ctx, 0, 20)
	p.Must(err)
	_, err = p.WaitReplayed(p.Ctx, 0)
	p.Must(err)
	p.Must(p.KillNode(p.Ctx, 0))
	p.Must(p.PromoteByHand(p.Ctx, 1))
	p.Must(p.Exec(p.Ctx, 1, "CHECKPOINT"))
	point := p.lsn(strings.Fields(p.value(1, "SELECT pg_read_file('pg_wal/00000002.history')"))[1])

	p.run("single-user recovery makes it diverge", func(p *pool) {
		f := fact{"crash recovery in single-user mode writes a shutdown checkpoint past the switch point",
			"a crashed former primary is adopted without crash recovery; recovery before a rewind runs in isolation (hazard 3)"}
		c := p.copyOf(0, "single")
		c.single()
		if at := c.lsn(c.control("Latest checkpoint location")); at < point {
			f.changed(p.T, "the checkpoint is at %s, the switch point at %s", at, point)
		}
		c.standbyOf(1)
		c.up()
		c.waitLogged("forked off current database system timeline")
		if s := c.ask(streams); s != "0" {
			f.changed(p.T, "it streams all the same")
		}
		c.stop()
	})
	p.run("isolated recovery adds nothing", func(p *pool) {
		f := fact{"a recovery with target 'immediate', paused, then a fast stop, adds no WAL, and satisfies pg_rewind",
			"the isolated recovery before a rewind (hazard 5)"}
		c := p.copyOf(0, "settled")
		c.settle()
		if state := c.control("Database cluster state"); state != "shut down in recovery" {
			f.changed(p.T, "the state is %q", state)
		}
		if at := c.lsn(c.control("Minimum recovery ending location")); at != point {
			f.changed(p.T, "recovered to %s, and the WAL ends at %s", at, point)
		}
		if out, code := c.rewind(1, "-n"); code != 0 || !strings.Contains(out, noRewind) {
			f.changed(p.T, "pg_rewind -n: exit code %d, %s", code, out)
		}
	})
}

// single is what others do to a crashed directory before a rewind.
func (c *copied) single() {
	c.T.Helper()
	if out, code := c.tool("postgres", "--single", "-F", "-D", c.dir, "template1"); code != 0 {
		c.T.Fatalf("single-user mode: %s", out)
	}
}

// TestADivergedPrimary: a lost row on node 0, node 1 the new primary, node 2
// promoted by hand to the same timeline number.
func TestADivergedPrimary(t *testing.T) {
	p := up(t, lab.Options{})
	p.Must(p.StopPgpool(p.Ctx, 0))
	for range 3 {
		p.Must(p.Exec(p.Ctx, 0, "SELECT pg_logical_emit_message(true, 'lab', 'filler')"))
		p.Must(p.Exec(p.Ctx, 0, "SELECT pg_switch_wal()"))
	}
	_, err := p.WaitReplayed(p.Ctx, 0)
	p.Must(err)
	_, err = p.Diverge(p.Ctx, 0, 1)
	p.Must(err)
	p.Must(p.KillNode(p.Ctx, 0))
	if n := p.Signal(syscall.SIGSTOP, "checkpointer", p.Nodes[1].Name); n != 1 {
		t.Fatalf("%d checkpointers frozen", n)
	}
	p.Must(p.PromoteByHand(p.Ctx, 1))

	p.run("rewind before the promotion's checkpoint", beforeTheCheckpoint)
	p.Signal(syscall.SIGCONT, "checkpointer", p.Nodes[1].Name)
	p.Must(p.Exec(p.Ctx, 1, "CHECKPOINT"))
	p.run("a server that starts proves nothing", startsAndNeverStreams)
	p.run("pg_rewind copies the whole pg_wal", rewindCost)
	p.run("interrupted rewind", interruptedRewind)
	p.run("finished rewind without standby.signal", finishedRewind)
	p.run("same timeline number", sameTimeline)
}

func beforeTheCheckpoint(p *pool) {
	f := fact{"pg_rewind right after a promotion, before the new primary's checkpoint, says that no rewind is required " +
		"and ends with 0 (up to PostgreSQL 15)",
		"the checkpoint step before every rewind, which waits until the primary's control file names the new timeline " +
			"(hazard 2)"}
	c := p.copyOf(0, "early")
	c.settle()
	out, code := c.rewind(1, "-n")
	if said := code == 0 && strings.Contains(out, noRewind); said != (p.Major <= 15) {
		f.changed(p.T, "exit code %d, %s", code, out)
	}
}

func startsAndNeverStreams(p *pool) {
	f := fact{"a diverged directory with standby.signal starts, pg_ctl reports success, reads are served, and it never " +
		"streams", "only the stream on the primary's line counts as an end (P1, hazard 6)"}
	c := p.copyOf(0, "looks-well")
	c.standbyOf(1)
	if out, code := c.start(); code != 0 || !strings.Contains(out, "server started") {
		f.changed(p.T, "pg_ctl: exit code %d, %s\n%s", code, out, c.log())
		return
	}
	c.waitLogged("forked off current database system timeline")
	if rows, s := c.ask("SELECT count(*) FROM app.ledger"), c.ask(streams); rows != "1" || s != "0" {
		f.changed(p.T, "%s rows, %s streams", rows, s)
	}
	c.stop()
}

var needToCopy = regexp.MustCompile(`need to copy (\d+) MB`)

func rewindCost(p *pool) {
	f := fact{"pg_rewind copies the source's whole pg_wal, however little has diverged (up to PostgreSQL 18)",
		"the estimate that weighs a rewind against a base backup (skipsSourceWAL in internal/core/plan)"}
	c := p.copyOf(0, "cost")
	c.settle()
	out, code := c.rewind(1, "-n", "-P")
	m := needToCopy.FindStringSubmatch(out)
	if code != 0 || m == nil {
		f.changed(p.T, "exit code %d, no \"need to copy\" in:\n%s", code, out)
		return
	}
	mb, _ := strconv.Atoi(m[1]) // digits
	wal, err := strconv.Atoi(p.value(1, "SELECT (sum(size) / 1048576)::int FROM pg_ls_waldir()"))
	p.Must(err)
	if wal < 48 {
		p.T.Fatalf("the source has %d MB of WAL only", wal)
	}
	if copies := mb >= wal; copies != (p.Major <= 18) {
		f.changed(p.T, "to copy %d MB, and the source has %d MB of WAL", mb, wal)
	}
}

// interruptedRewind has pg_rewind end at a file that it may not write, among the first of those that it copies: files
// are copied in the order of their paths. What it leaves is what a kill at that moment leaves, and the same each time.
func interruptedRewind(p *pool) {
	f := fact{"after an interrupted pg_rewind nothing in the directory tells: the control file is the old one, no " +
		"backup_label, and a server can come up on it as a read-write primary",
		"the directory is moved to the work directory for the repair, and the journal on disk says damaged (P4, decision 1)"}
	sh := func(format string, dir string) {
		if out, code := p.tool("sh", "-c", fmt.Sprintf(format, dir)); code != 0 {
			p.T.Fatalf("make files: %s", out)
		}
	}
	sh("cd %s && mkdir aaa && for i in 1 2 3; do echo $i > aaa/$i; done", p.Nodes[1].DataDir)
	c := p.copyOf(0, "interrupted")
	c.single() // "shut down", as most tools leave it
	sh("cd %s && mkdir aaa && echo old > aaa/2 && chmod 400 aaa/2", c.dir)
	if out, code := c.rewind(1); code == 0 || !c.has("aaa/1") {
		f.changed(p.T, "pg_rewind ended with %d, and aaa/1 is there: %v: %s", code, c.has("aaa/1"), out)
	}
	if state, tli := c.control("Database cluster state"), c.control("Latest checkpoint's TimeLineID"); state != "shut "+
		"down" || tli != "1" || c.has("backup_label") {
		f.changed(p.T, "state %q, timeline %s, backup_label %v", state, tli, c.has("backup_label"))
	}
	if out, code := c.start(); code != 0 {
		f.changed(p.T, "no server comes up on it: %s", out+"\n"+c.log())
	}
	if v := c.ask("SELECT pg_is_in_recovery()"); v != "false" {
		f.changed(p.T, "in recovery: %s", v)
	}
	c.stop()
}

func finishedRewind(p *pool) {
	f := fact{"pg_rewind takes the target's standby.signal away and brings the source's configuration; started like " +
		"that, the node is a second primary on the source's timeline",
		"standby.signal and the node's own configuration are put back before the directory comes home (hazards 9 and 10)"}
	c := p.copyOf(0, "finished")
	c.settle()
	c.signal()
	if out, code := c.rewind(1, "--no-sync"); code != 0 {
		p.T.Fatalf("pg_rewind: %s", out)
	}
	if c.has("standby.signal") {
		f.changed(p.T, "standby.signal is kept")
	}
	own, err := os.ReadFile(c.path("postgresql.conf"))
	p.Must(err)
	theirs, err := os.ReadFile(filepath.Join(p.Nodes[1].DataDir, "postgresql.conf"))
	p.Must(err)
	if string(own) != string(theirs) {
		f.changed(p.T, "the target keeps its postgresql.conf")
	}
	c.up()
	if in, file := c.ask("SELECT pg_is_in_recovery()"), c.ask("SELECT CASE WHEN NOT pg_is_in_recovery() THEN "+
		"pg_walfile_name(pg_current_wal_lsn()) END"); in != "false" || !strings.HasPrefix(file, "00000002") {
		f.changed(p.T, "in recovery: %s, writes %q", in, file)
	}
	c.stop()
}

func sameTimeline(p *pool) {
	f := fact{"of two clusters with the same timeline number pg_rewind says that no rewind is required and ends with 0, " +
		"whatever they hold", "WAL is compared by content, and such a node is never rewound (P1, hazard 1)"}
	p.Must(p.PromoteByHand(p.Ctx, 2))
	for _, i := range []int{1, 2} {
		_, err := p.CommitRows(p.Ctx, i, 1)
		p.Must(err)
		p.Must(p.Exec(p.Ctx, i, "CHECKPOINT"))
	}
	history := "SELECT pg_read_file('pg_wal/00000002.history')"
	if a, b := strings.Fields(p.value(1, history))[1], strings.Fields(p.value(2, history))[1]; a != b {
		p.T.Fatalf("switch points %s and %s: not the case to be shown", a, b)
	}
	p.Must(p.StopNode(p.Ctx, 2, lab.Fast))
	c := p.copyOf(2, "same")
	if out, code := c.rewind(1); code != 0 || !strings.Contains(out, noRewind) {
		f.changed(p.T, "exit code %d, %s", code, out)
	}
}
