package dbhost

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// mounted makes a node take its data directory for a mount point, with the
// folder that file systems have at their top. A real one is in test/hosts.
func (n *node) mounted() {
	n.isMount = func(dir string) (bool, error) { return dir == n.home, nil }
}

// The content of a data directory that is a mount point is swapped within it.
func TestAMountPointIsRepairedWithinItself(t *testing.T) {
	t.Parallel()
	for _, m := range []topology.Method{topology.MethodRewind, topology.MethodBaseBackup} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			old, primary := diverged(t, 1, true, setup{})
			names := furnish(t, old)
			linkWAL(t, old, true)
			old.mounted()
			if err := os.Mkdir(filepath.Join(old.dir, pgdata.LostFound), 0o700); err != nil {
				t.Fatal(err)
			}
			top, err := os.Stat(old.dir)
			if err != nil {
				t.Fatal(err)
			}
			before, around := tree(t, old.dir, names...), shape(t, old)
			var log lastRecord
			old.mustRun(m, primary, &log)
			if after := tree(t, old.dir, names...) + shape(t, old); after != before+around {
				t.Errorf("before:\n%s\nafter:\n%s", before+around, after)
			}
			if now, err := os.Stat(old.dir); err != nil || !os.SameFile(top, now) {
				t.Errorf("the data directory itself was replaced: %v", err)
			}
			left, err := filepath.Glob(filepath.Join(old.dir, withinMount, "[^t]*")) // but the trash
			if err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			if got := old.query("SELECT count(*)::text FROM kept"); got != "1" {
				t.Errorf("%s rows, want 1", got)
			}
		})
	}
}

// A crash between any two renames of the content leaves nothing at Home that
// starts, and the next look has all of it in one place.
func TestEachLineOfAContentMoveCanBeTheLast(t *testing.T) {
	t.Parallel()
	files := map[string]string{"PG_VERSION": "15\n", "base/1": "x", "global/pg_control": "x", "postgresql.conf": ""}
	for _, home := range []bool{false, true} {
		for last := 0; ; last++ {
			n := fakeNode(t, files)
			n.mounted()
			all := tree(t, n.dir, "PG_VERSION", "base", "global", "postgresql.conf")
			from, to := resync.Home, resync.InRepair
			if home {
				n.move(from, to)
				from, to = to, from
			}
			done, whole := 0, true
			n.cut = func() bool { done++; whole = done <= last; return !whole }
			err := n.Move(from, to)
			n.cut = nil
			if whole {
				if err != nil || last < len(files) {
					t.Errorf("moved after %d renames: %v", last, err)
				}
				break
			}
			inHome, err := n.Exists(resync.Home)
			if err != nil {
				t.Fatal(err)
			}
			if inRepair, err := n.Exists(resync.InRepair); err != nil || inHome == inRepair {
				t.Errorf("after %d renames: at home %t, in repair %t (%v)", last, inHome, inRepair, err)
			}
			if err := n.settle(); err != nil {
				t.Fatal(err)
			}
			place := n.path(resync.InRepair)
			if inHome {
				place = n.dir
			}
			if got := tree(t, place, "PG_VERSION", "base", "global", "postgresql.conf"); got != all {
				t.Errorf("after %d renames: %s", last, got)
			}
		}
	}
}

// A file system that is not mounted is not taken for a lost data directory.
func TestAnUnmountedDataDirectoryIsLeftAlone(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n"})
	n.mounted()
	n.move(resync.Home, resync.InRepair)
	n.move(resync.InRepair, resync.Home)
	n.isMount = func(string) (bool, error) { return false, nil }
	wantCode(t, n.Move(resync.Home, resync.InRepair), codes.MountPoint, "not mounted", n.mountedFile())
}
