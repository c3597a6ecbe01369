package dbhost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// linkWAL moves the WAL of a stopped node to a folder of its own, and gives the
// text of the link.
func linkWAL(t *testing.T, n *node, relative bool) (text string) {
	t.Helper()
	dir := filepath.Join(filepath.Dir(n.dir), "wal", "main")
	if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(n.dir, "pg_wal"), dir); err != nil {
		t.Fatal(err)
	}
	text = dir
	if relative {
		text = "../wal/main"
	}
	symlink(t, text, filepath.Join(n.dir, "pg_wal"))
	return text
}

// spaced is a diverged pair with a tablespace, in a folder of each node's own,
// that had the table "far" before they parted. Paths have an equals sign.
func spaced(t *testing.T) (old, primary *node) {
	t.Helper()
	old, primary = newNode(t, 0, setup{}), newNode(t, 1, setup{})
	old.start()
	old.exec("SELECT pg_create_physical_replication_slot('repool_node1', true)")
	for _, n := range []*node{old, primary} {
		if err := os.Mkdir(spaceOf(n), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	old.exec("CREATE TABLESPACE far LOCATION '"+spaceOf(old)+"'", "CREATE TABLE far (n int) TABLESPACE far",
		"INSERT INTO far SELECT generate_series(1, 1000)", "CREATE TABLE kept (n int)")
	// One host has both nodes, so the standby cannot make the tablespace by itself.
	oid := old.query("SELECT oid::text FROM pg_tablespace WHERE spcname = 'far'")
	if err := os.RemoveAll(primary.dir); err != nil {
		t.Fatal(err)
	}
	rec := linksRecord{Links: map[string]string{"pg_tblspc/" + oid: spaceOf(primary)}}
	if err := primary.putHomeLinks(rec); err != nil {
		t.Fatal(err)
	}
	var log lastRecord
	primary.mustRun(topology.MethodBaseBackup, old, &log)
	primary.caughtUp(old)
	if _, err := primary.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	old.exec("INSERT INTO far SELECT generate_series(1, 4000)", "INSERT INTO kept SELECT generate_series(1, 4000)")
	old.crash()
	primary.start()
	primary.promote(true)
	primary.exec("INSERT INTO far SELECT generate_series(1, 500)", "CHECKPOINT")
	return old, primary
}

func spaceOf(n *node) string { return filepath.Join(filepath.Dir(n.dir), "a=space") }

// shape says where a node's database is: its links, and what lies beside the
// folders that they lead to.
func shape(t *testing.T, n *node) string {
	t.Helper()
	links, err := n.readLinks(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, rel := range []string{"pg_wal"} {
		all.WriteString(rel + " -> " + links[rel] + "\n")
	}
	for _, pattern := range []string{"pg_tblspc/*"} {
		found, err := filepath.Glob(filepath.Join(n.dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			all.WriteString(filepath.Base(f) + " -> " + links["pg_tblspc/"+filepath.Base(f)] + "\n")
		}
	}
	for _, dir := range []string{"wal", "a=space"} {
		entries, err := os.ReadDir(filepath.Join(filepath.Dir(n.dir), dir))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range entries {
			all.WriteString(dir + "/" + e.Name() + "\n")
		}
	}
	return all.String()
}

// The link of pg_wal stays what it was, with no WAL left beside it.
func TestTheLinkOfTheWALSurvives(t *testing.T) {
	t.Parallel()
	for _, m := range []topology.Method{topology.MethodBaseBackup, topology.MethodRewind} {
		for name, relative := range map[string]bool{"relative": true, "absolute": false} {
			t.Run(string(m)+"/"+name, func(t *testing.T) {
				t.Parallel()
				old, primary := diverged(t, 1, true, setup{})
				text := linkWAL(t, old, relative)
				before := shape(t, old)
				var log lastRecord
				old.mustRun(m, primary, &log)
				if after := shape(t, old); after != before || !strings.Contains(before, text) {
					t.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
				old.exec("SELECT pg_switch_wal() WHERE NOT pg_is_in_recovery()")
			})
		}
	}
}

// An adoption moves the directory away and back: a relative link holds meanwhile.
func TestAnAdoptionReadsWALBehindARelativeLink(t *testing.T) {
	t.Parallel()
	old, standby := pair(t, setup{})
	old.exec("CREATE TABLE t (n int)")
	standby.caughtUp(old)
	old.crash()
	standby.promote(true)
	linkWAL(t, old, true)
	before := shape(t, old)
	var log lastRecord
	old.mustRun(topology.MethodAdopt, standby, &log)
	if after := shape(t, old); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// Tablespaces are copied beside the node's own ones and take their place.
func TestTablespacesAreCopiedAndSwapped(t *testing.T) {
	t.Parallel()
	for _, m := range []topology.Method{topology.MethodBaseBackup, topology.MethodRewind} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			old, primary := spaced(t)
			linkWAL(t, old, true)
			before := shape(t, old)
			var log lastRecord
			old.mustRun(m, primary, &log)
			if after := shape(t, old); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			old.caughtUp(primary)
			if got := old.query("SELECT count(*)::text FROM far"); got != "1500" {
				t.Errorf("%s rows in the tablespace, want 1500", got)
			}
		})
	}
}

// The agent dies at any point of the swap: then the old directory can go home,
// or a new run ends with the new one, each with its own WAL and tablespaces.
func TestADeathDuringTheSwapLeavesOneOrTheOther(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"base-backup:copy:progress", "base-backup:verify:after",
		"base-backup:move-home:intent", "base-backup:move-home:effect",
		"base-backup:wait-streaming:after", "base-backup:retire:effect"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			old, primary := spaced(t)
			linkWAL(t, old, true)
			before := shape(t, old)
			var log lastRecord
			old.engine(topology.MethodBaseBackup, primary, &log, point)
			old.mustRun(topology.MethodBaseBackup, primary, &log)
			// A copy that is kept, since nothing proves that it has no commits of its own, goes with all that is its.
			if err := old.Remove(resync.Old); err != nil {
				t.Fatal(err)
			}
			old.emptied()
			if after := shape(t, old); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			old.caughtUp(primary)
			if got := old.query("SELECT count(*)::text FROM far"); got != "1500" {
				t.Errorf("%s rows in the tablespace, want 1500", got)
			}
		})
	}
}

// A crash between any two changes of the swap itself is finished by the next
// look, or the old directory goes home with what is its own.
func TestEachLineOfTheSwapCanBeTheLast(t *testing.T) {
	t.Parallel()
	build := func(t *testing.T) *node {
		n := fakeNode(t, map[string]string{"PG_VERSION": "15\n", "../wal/main/seg": "old", "../spc/PG_15_1/f": "old"})
		symlink(t, "../wal/main", filepath.Join(n.dir, "pg_wal"))
		writeFile(t, filepath.Join(n.dir, "pg_tblspc", ".keep"), "")
		symlink(t, filepath.Join(filepath.Dir(n.dir), "spc"), filepath.Join(n.dir, "pg_tblspc", "16390"))
		if err := n.putHomeLinks(linksRecord{Version: "PG_15_1"}); err != nil {
			t.Fatal(err)
		}
		n.move(resync.Home, resync.InRepair)
		all, err := n.outsides()
		if err != nil || len(all) != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
		writeFile(t, filepath.Join(n.path(resync.New), "PG_VERSION"), "15\n")
		for _, o := range all {
			writeFile(t, filepath.Join(o.folder(nameOfNew), "seg"), "new")
			writeFile(t, filepath.Join(n.path(resync.New), filepath.Dir(o.rel), ".keep"), "")
			symlink(t, o.named(nameOfNew), filepath.Join(n.path(resync.New), o.rel))
		}
		return n
	}
	holds := func(t *testing.T, n *node, p resync.Place, want string) {
		t.Helper()
		for _, rel := range []string{"pg_wal/*", "pg_tblspc/16390/PG_15_1/*"} {
			found, err := filepath.Glob(filepath.Join(n.path(p), rel))
			if err != nil || len(found) != 1 || readFile(t, found[0]) != want {
				t.Errorf("%s in %s is %v (%v), want %s", rel, p, found, err, want)
			}
		}
	}
	for last := 0; ; last++ {
		done := 0
		whole := true
		n := build(t)
		n.cut = func() bool { done++; whole = done <= last; return !whole }
		err := n.bringOutside(resync.New)
		n.cut = nil
		n.reopen() // the agent starts again
		holds(t, n, resync.InRepair, "old")
		holds(t, n, resync.New, "new")
		if last%2 == 0 { // the copy is given up, and the old directory goes home
			if err := n.Remove(resync.New); err != nil {
				t.Fatal(err)
			}
			n.move(resync.InRepair, resync.Home)
			holds(t, n, resync.Home, "old")
		} else {
			n.move(resync.New, resync.Home)
			holds(t, n, resync.Home, "new")
			if err := n.Remove(resync.InRepair); err != nil {
				t.Fatal(err)
			}
			holds(t, n, resync.Home, "new")
		}
		n.emptied()
		for _, o := range []string{"wal/main.repool", "spc/pgsql_tmp.repool"} {
			if exists(filepath.Join(filepath.Dir(n.dir), o)) {
				t.Errorf("%s is left after %d changes", o, last)
			}
		}
		if text, err := os.Readlink(filepath.Join(n.dir, "pg_wal")); err != nil || text != "../wal/main" {
			t.Errorf("the link says %q, %v", text, err)
		}
		if whole {
			if err != nil || last < 8 {
				t.Errorf("the swap ended with %v after %d changes", err, last)
			}
			return
		}
	}
}

// WAL whose data directory is lost is not written over and not removed: it is
// put aside once, and a second time a person has to look.
func TestWALOfALostDirectoryIsPutAside(t *testing.T) {
	t.Parallel()
	old, primary := diverged(t, 1, true, setup{})
	text := linkWAL(t, old, true)
	dir := filepath.Join(old.dir, text)
	var log lastRecord
	old.mustRun(topology.MethodRewind, primary, &log)
	wipe := func() string {
		t.Helper()
		old.crash()
		kept := tree(t, dir, ".")
		if err := os.RemoveAll(old.dir); err != nil {
			t.Fatal(err)
		}
		return kept
	}
	kept := wipe()
	old.mustRun(topology.MethodBaseBackup, primary, &log)
	if got := tree(t, dir+".repool/lost", "."); got != kept {
		t.Errorf("kept:\n%s\nwant:\n%s", got, kept)
	}
	if now, err := os.Readlink(filepath.Join(old.dir, "pg_wal")); err != nil || now != text {
		t.Errorf("the link says %q, %v", now, err)
	}
	wipe()
	old.engine(topology.MethodBaseBackup, primary, &log, "")
	if log.Run.Code != codes.WALLink {
		t.Errorf("ended %s with %s: %s", log.Run.Outcome, log.Run.Code, log.Run.Error)
	}
}

// What could not be swapped is refused before the server is stopped.
func TestOutsideThatCannotBeSwappedIsRefused(t *testing.T) {
	t.Parallel()
	t.Run("WAL", func(t *testing.T) {
		t.Parallel()
		primary, standby := pair(t, setup{})
		if _, err := standby.StopServer(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		linkWAL(t, standby, false)
		standby.start()
		above := filepath.Join(filepath.Dir(standby.dir), "wal")
		if err := os.Chmod(above, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(above, 0o700) })
		var log lastRecord
		standby.engine(topology.MethodBaseBackup, primary, &log, "")
		if log.Run.Code != codes.WALLink {
			t.Errorf("ended %s with %s: %s", log.Run.Outcome, log.Run.Code, log.Run.Error)
		}
		standby.want(topology.ServerRunning)
	})
	t.Run("tablespace of another server", func(t *testing.T) {
		t.Parallel()
		primary, standby := pair(t, setup{})
		if _, err := standby.StopServer(t.Context(), false); err != nil {
			t.Fatal(err) // it would make the same folder its own
		}
		if err := os.Mkdir(spaceOf(primary), 0o700); err != nil {
			t.Fatal(err)
		}
		primary.exec("CREATE TABLESPACE s LOCATION '" + spaceOf(primary) + "'")
		var log lastRecord
		standby.engine(topology.MethodBaseBackup, primary, &log, "")
		if log.Run.Code != codes.Tablespaces || !strings.Contains(log.Run.Error, spaceOf(primary)) {
			t.Errorf("ended %s with %s: %s", log.Run.Outcome, log.Run.Code, log.Run.Error)
		}
	})
}

// The folders of a copy that was given up lead to the name under which the next copy makes its own: emptying the trash
// later must leave those alone.
func TestTrashThatIsEmptiedLateSparesTheNextCopy(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n", "../wal/main/seg": "old"})
	symlink(t, "../wal/main", filepath.Join(n.dir, "pg_wal"))
	if err := n.putHomeLinks(linksRecord{}); err != nil {
		t.Fatal(err)
	}
	n.move(resync.Home, resync.InRepair)
	all, err := n.outsides()
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	mine := all[0].named(nameOfNew)
	writeFile(t, filepath.Join(n.path(resync.New), "PG_VERSION"), "15\n")
	symlink(t, mine, filepath.Join(n.path(resync.New), "pg_wal"))
	writeFile(t, filepath.Join(mine, "given up"), "")
	if err := n.Remove(resync.New); err != nil {
		t.Fatal(err)
	}
	if _, err := n.makeOutside(t.Context(), source{version: 150000}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(mine, "next"), "")
	if err := n.EmptyTrash(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(mine, "*")); err != nil || len(left) != 1 ||
		filepath.Base(left[0]) != "next" {
		t.Errorf("of the next copy's WAL there is %v, %v", left, err)
	}
}
