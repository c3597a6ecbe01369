package dbhost

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/node/resync"
)

// A tablespace counts from the moment at which it is there, and one inside the data
// directory is none outside: a base backup copies it like any folder.
func TestTablespacesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	n.start()
	see := func(outside, inside int) {
		t.Helper()
		in, err := n.Inspect(t.Context())
		if err != nil || in.Tablespaces != outside || in.InPlace != inside || len(in.Odd) > 0 {
			t.Errorf("%d tablespaces outside and %d inside, %v, %v; want %d and %d", in.Tablespaces, in.InPlace, in.Odd,
				err, outside, inside)
		}
	}
	see(0, 0)
	c := n.connect()
	for _, sql := range []string{"SET allow_in_place_tablespaces = on", "CREATE TABLESPACE inside LOCATION ''",
		"CREATE TABLE t TABLESPACE inside AS SELECT generate_series(1, 10) AS n"} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	see(0, 1)
	copied := newNode(t, 1, setup{})
	n.exec("SELECT pg_create_physical_replication_slot('repool_node1', true)")
	if err := copied.SaveConfig(resync.Home); err != nil {
		t.Fatal(err)
	}
	copied.move(resync.Home, resync.InRepair)
	if err := copied.BaseBackup(t.Context(), n.upstream(), "repool_node1", nil); err != nil {
		t.Fatal(err)
	}
	if err := copied.VerifyBackup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := copied.RestoreConfig(resync.New); err != nil {
		t.Fatal(err)
	}
	if err := copied.WriteStandby(resync.New, n.upstream(), "repool_node1", "repool_node1"); err != nil {
		t.Fatal(err)
	}
	copied.move(resync.New, resync.Home)
	wantCode(t, copied.StartServer(t.Context()), codes.ServerConfig, "set allow_in_place_tablespaces = on")
	appendFile(t, filepath.Join(copied.dir, "postgresql.conf"), "allow_in_place_tablespaces = on\n")
	copied.start()
	copied.waitStreaming(n)
	if got := copied.query("SELECT count(*)::text FROM t"); got != "10" {
		t.Errorf("%s rows in the copy", got)
	}
	place := filepath.Join(filepath.Dir(n.dir), "space")
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	n.exec("CREATE TABLESPACE outside LOCATION '" + place + "'")
	see(1, 1)
}
