package dbhost

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
)

// removed puts a directory of n files into Old and removes it.
func removed(t *testing.T, n *node, files int) {
	t.Helper()
	for i := range files {
		writeFile(t, filepath.Join(n.path(resync.Old), "base", strconv.Itoa(i)), "0123456789")
	}
	if err := n.Remove(resync.Old); err != nil {
		t.Fatal(err)
	}
	if there, err := n.Exists(resync.Old); err != nil || there {
		t.Fatalf("old is still there: %v, %v", there, err)
	}
}

func (n *node) trashed() uint64 {
	n.t.Helper()
	k, err := Kept(n.workDir, n.o.VaultDir)
	if err != nil {
		n.t.Fatal(err)
	}
	return k.Trash
}

// TestRemovedIsDeletedLater: a removal is a rename, so that no run and no attach waits for terabytes to go.
func TestRemovedIsDeletedLater(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n"})
	if err := n.EmptyTrash(t.Context(), 0); err != nil {
		t.Errorf("without a trash: %v", err)
	}
	removed(t, n, 3)
	removed(t, n, 2) // beside the first
	if got := n.trashed(); got != 50 {
		t.Errorf("%d bytes in the trash, want 50", got)
	}
	if err := n.EmptyTrash(t.Context(), time.Hour); err != nil || n.trashed() != 50 {
		t.Errorf("what is too new was deleted: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := n.EmptyTrash(ended, 0); !errors.Is(err, context.Canceled) || n.trashed() != 50 {
		t.Errorf("deleted without being allowed to: %v", err)
	}
	if err := n.EmptyTrash(t.Context(), 0); err != nil || n.trashed() != 0 {
		t.Errorf("%d bytes are left: %v", n.trashed(), err)
	}
	if left, err := os.ReadDir(n.trash()); err != nil || len(left) != 0 {
		t.Errorf("left in the trash: %v, %v", left, err)
	}
}

// Hazard 67: a second full copy that nobody mentions.
func TestWhatIsKeptIsMeasured(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n"})
	for name, bytes := range map[string]int{"old/base/1/16384": 100, "old/pg_wal/000000010000000000000001": 20,
		"repair/base/1/1": 5, "vault/entry/wal": 7, "trash/x/old/base/1/1": 3} {
		writeFile(t, filepath.Join(n.workDir, name), string(make([]byte, bytes)))
	}
	for saved, unsaved := range map[journal.Saved]bool{journal.SavedUnknown: true, journal.SavedPart: true,
		journal.SavedAll: false, journal.SavedNothing: false} {
		j, err := journal.Open(n.workDir)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Put(journal.Record{Seq: 1, Old: saved, Run: topology.RunState{ID: "run-1",
			Outcome: topology.RunDone}}); err != nil {
			t.Fatal(err)
		}
		k, err := Kept(n.workDir, n.o.VaultDir)
		if err != nil {
			t.Fatal(err)
		}
		if k.Journal == 0 {
			t.Error("the journal has no size")
		}
		k.Journal = 0
		want := topology.Kept{WorkDir: n.workDir, Old: 120, OldUnsaved: unsaved, InRepair: 5, Trash: 3, Vault: 7}
		if k != want {
			t.Errorf("with %q: kept %+v, want %+v", saved, k, want)
		}
	}
}
