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

// furnish gives a stopped node things of its own, and lists their names. The
// relative links are right only where the data directory is at home.
func furnish(t *testing.T, n *node) []string {
	t.Helper()
	base := filepath.Dir(n.dir)
	at := func(name string) string { return filepath.Join(n.dir, name) }
	for name, text := range map[string]string{
		"certs/server.crt": "certificate", "certs/server.key": "key", "certs/client/client.key": "the client's key",
		"notes.txt": "a note", "dump/part/1.sql": "select 1;", "more.d/first.conf": "include '../deep/second.conf'\n",
		"deep/second.conf": "work_mem = '5MB'\n", "pg_log/old.log": "an old line",
	} {
		writeFile(t, at(name), text)
	}
	writeFile(t, filepath.Join(base, "etc", "shared.conf"), "maintenance_work_mem = '33MB'\n")
	writeFile(t, filepath.Join(base, "logs", "server.log"), "a line")
	writeFile(t, filepath.Join(base, "stats", "x"), "")
	symlink(t, filepath.Join(base, "logs"), at("log"))
	symlink(t, "../logs", at("log2"))
	symlink(t, "../etc/shared.conf", at("shared.conf"))
	symlink(t, "../../etc/shared.conf", at("more.d/shared.conf"))
	symlink(t, at("notes.txt"), at("more.d/absolute"))
	if err := os.Chmod(at("notes.txt"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(at("dump"), 0o750); err != nil {
		t.Fatal(err)
	}
	appendFile(t, at("postgresql.conf"), "ssl_cert_file = 'certs/server.crt'\nssl_key_file = 'certs/server.key'\n"+
		"include_dir = 'more.d'\ninclude 'shared.conf'\n")
	return []string{"certs", "notes.txt", "dump", "more.d", "deep", "pg_log", "log", "log2", "shared.conf",
		"postgresql.conf", "pg_hba.conf"}
}

// What a node has of its own survives every method that moves data, and the
// record of the run says what that is.
func TestWhatTheNodeHasOfItsOwnSurvives(t *testing.T) {
	t.Parallel()
	for _, m := range []topology.Method{topology.MethodRewind, topology.MethodBaseBackup} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			old, primary := diverged(t, 1, true, setup{})
			names := furnish(t, old)
			// The primary has some of the names as well, of another kind or content.
			writeFile(t, filepath.Join(primary.dir, "log", "server.log"), "theirs")
			writeFile(t, filepath.Join(primary.dir, "notes.txt"), "their notes")
			writeFile(t, filepath.Join(primary.dir, "certs", "theirs.key"), "theirs")
			writeFile(t, filepath.Join(primary.dir, "shared.conf"), "port = 1\n")
			before := tree(t, old.dir, names...)
			outside := tree(t, filepath.Dir(old.dir), "etc", "logs")
			var log lastRecord
			old.mustRun(m, primary, &log)
			if after := tree(t, old.dir, names...); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if after := tree(t, filepath.Dir(old.dir), "etc", "logs"); after != outside {
				t.Errorf("outside before:\n%s\nafter:\n%s", outside, after)
			}
			if note := log.Run.Steps[0].Note; !strings.Contains(note, "notes.txt") || !strings.Contains(note, "dump") {
				t.Errorf("take-stock does not say what is kept: %q", note)
			}
			if got := old.query("SHOW maintenance_work_mem"); got != "33MB" {
				t.Errorf("maintenance_work_mem is %s: the linked configuration does not count", got)
			}
			for _, left := range []string{old.asideDir(), old.path(resync.InRepair), old.path(resync.Old)} {
				if _, err := os.Lstat(left); err == nil {
					t.Errorf("%s is left", left)
				}
			}
		})
	}
}

// The agent dies with the node's own files set aside or half put back: the next
// run still gives all of them back.
func TestOwnFilesSurviveADeathDuringTheRewind(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"rewind:rewind:progress", "rewind:rewind:effect", "rewind:restore-config:effect"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			old, primary := diverged(t, 1, true, setup{})
			names := furnish(t, old)
			before := tree(t, old.dir, names...)
			var log lastRecord
			old.engine(topology.MethodRewind, primary, &log, point)
			old.mustRun(topology.MethodBaseBackup, primary, &log)
			if after := tree(t, old.dir, names...); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// A rewind that is refused before its first change leaves everything as it was.
func TestOwnFilesAreBackAfterARefusedRewind(t *testing.T) {
	t.Parallel()
	old, primary := diverged(t, 1, true, setup{})
	names := furnish(t, old)
	before := tree(t, old.dir, names...)
	writeFile(t, filepath.Join(primary.dir, "global", "odd"), "")
	if err := os.Mkdir(filepath.Join(old.dir, "global", "odd"), 0o700); err != nil {
		t.Fatal(err) // pg_rewind refuses: a folder here, a file there
	}
	var log lastRecord
	old.engine(topology.MethodRewind, primary, &log, "")
	if log.Run.Code != codes.RewindRefused || log.Run.Damaged {
		t.Fatalf("ended %s with %s: %s", log.Run.Outcome, log.Run.Code, log.Run.Error)
	}
	if after := tree(t, old.dir, names...); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// What a new copy could not be given is refused before the server is stopped.
func TestWhatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	primary, standby := pair(t, setup{})
	if _, err := standby.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(filepath.Dir(standby.dir), "elsewhere")
	if err := os.Rename(filepath.Join(standby.dir, "base"), elsewhere); err != nil {
		t.Fatal(err)
	}
	symlink(t, elsewhere, filepath.Join(standby.dir, "base"))
	standby.start()
	var log lastRecord
	standby.engine(topology.MethodBaseBackup, primary, &log, "")
	if log.Run.Code != codes.OwnFiles || !strings.Contains(log.Run.Error, "base: symlink (to "+elsewhere) {
		t.Errorf("ended %s with %s: %s", log.Run.Outcome, log.Run.Code, log.Run.Error)
	}
	standby.want(topology.ServerRunning)
}

// The whole folder of a file that a setting names is the node's own.
func TestTheRestOfANamedFilesFolderStays(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n", "postgresql.conf": "ssl_cert_file = 'certs/server.crt'\n" +
		"ssl_ca_file = 'global/ca.crt'\n", "certs/server.crt": "own", "certs/client.key": "own", "global/ca.crt": "own",
		"global/1260": "old"})
	if err := n.SaveConfig(resync.Home); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"postgresql.conf": "", "certs/server.crt": "theirs",
		"certs/their.key": "", "global/1260": "new"} {
		writeFile(t, filepath.Join(n.path(resync.New), name), text)
	}
	if err := n.RestoreConfig(resync.New); err != nil {
		t.Fatal(err)
	}
	got := tree(t, n.path(resync.New), "certs", "global/ca.crt")
	if want := tree(t, n.dir, "certs", "global/ca.crt"); got != want {
		t.Errorf("want:\n%s\ngot:\n%s", want, got)
	}
	if got := readFile(t, filepath.Join(n.path(resync.New), "global", "1260")); got != "new" {
		t.Error("the data was replaced")
	}
}
