package dbhost

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// writesNoWAL has a server without clients do so. Its first record that needs a
// new file would end it by itself (PANIC) once the directory is gone.
const writesNoWAL = `
wal_level = minimal
max_wal_senders = 0
autovacuum = off
max_logical_replication_workers = 0
`

// The data directory is deleted under its server: the postmaster has no lock
// file any more, yet it holds the port that the new copy needs.
func TestServerOfADeletedDirectoryIsFoundAndStopped(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	appendFile(t, filepath.Join(n.dir, "postgresql.conf"), writesNoWAL)
	n.start()
	if err := os.RemoveAll(n.home); err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		if again { // a new directory stands there meanwhile
			if err := os.Mkdir(n.home, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		n.want(topology.ServerStopping)
		if in, err := n.Inspect(t.Context()); err != nil || in.Err != "" || in.Server != topology.ServerStopped {
			t.Errorf("inspection: %+v, %v", in, err)
		}
	}
	begin := time.Now()
	f, err := n.StopServer(t.Context(), true)
	if err != nil || !f.WasRunning || time.Since(begin) > 8*time.Second {
		t.Errorf("stopped with %+v after %s, %v", f, time.Since(begin), err)
	}
	n.want(topology.ServerStopped)
}
