package dbhost

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/internal/node/vault"
)

func itoa(n int) string { return strconv.Itoa(n) }

// P3: what only this node holds is kept, counted and listed.
func TestVaultListsEachLostCommit(t *testing.T) {
	t.Parallel()
	old, primary := pair(t, setup{})
	old.exec("CREATE TABLE kept (n int PRIMARY KEY, v text)",
		"INSERT INTO kept SELECT g, 'both' FROM generate_series(1, 10) g")
	primary.caughtUp(old)
	if _, err := primary.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	old.exec("INSERT INTO kept VALUES (11, 'lost'), (12, 'lost')", "UPDATE kept SET v = 'lost' WHERE n <= 3",
		"DELETE FROM kept WHERE n = 4",
		"CREATE TABLE later (n int)", "BEGIN; INSERT INTO kept VALUES (13, 'a'); SAVEPOINT s; INSERT INTO kept VALUES (14, "+
			"'b'); COMMIT",
		"BEGIN; INSERT INTO kept VALUES (15, 'rolled back'); ROLLBACK")
	old.crash()
	primary.start()
	primary.promote(true)
	p := probe(t, old, primary)
	req := topology.RunRequest{Upstream: primary.upstream(), Divergence: p.Limit, DivergenceTLI: p.CommonTLI}
	var done, total uint64
	e, err := old.Vault(t.Context(), req, resync.Home, func(d, n uint64) { done, total = d, n })
	if err != nil {
		t.Fatal(err)
	}
	if !e.Complete || e.Commits != 5 || e.Diverged != p.Limit || e.End != p.End || e.TLI != 1 || done == 0 ||
		done != total {
		t.Errorf("entry %+v, progress %d of %d", e, done, total)
	}
	if n := e.Relations["postgres.public.kept"]; n != 8 {
		t.Errorf("%d row operations on the table, want 2+3+1+2; relations %v", n, e.Relations)
	}
	b, err := old.VaultReport(e.ID)
	if err != nil {
		t.Fatal(err)
	}
	var rep vault.Report
	if err := json.Unmarshal(b, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Commits) != 5 || rep.Totals.Inserts != 4 || rep.Totals.Updates != 3 || rep.Totals.Deletes != 1 ||
		rep.Totals.DDL == 0 || len(rep.Commits[4].Subxacts) != 1 {
		t.Errorf("report: %s", b)
	}
	again, err := old.Vault(t.Context(), req, resync.Home, nil)
	if err != nil || again.ID != e.ID || !again.Made.Equal(e.Made) {
		t.Errorf("kept a second time: %+v, %v", again, err)
	}
	list, err := old.VaultEntries()
	if err != nil || len(list) != 1 || list[0].Path != filepath.Join(old.workDir, "vault", e.ID) {
		t.Errorf("listed: %+v, %v", list, err)
	}
	if _, err := old.VaultReport("../" + e.ID); err == nil {
		t.Error("a path was taken for an entry's name")
	}
}

// One diverged node, its WAL kept under ever better conditions.
func TestVaultOfOneNode(t *testing.T) {
	t.Parallel()
	old, primary := diverged(t, 3, true, setup{})
	p := probe(t, old, primary)
	req := topology.RunRequest{Upstream: primary.upstream(), Divergence: p.Limit}
	keep := func(r topology.RunRequest) (topology.VaultEntry, error) {
		return old.Vault(t.Context(), r, resync.Home, nil)
	}
	seg := filepath.Join(old.dir, "pg_wal", topology.WALFileName(1, p.Limit, 1<<20))
	content := readFile(t, seg)

	old.o.Headroom = 1 << 60
	_, err := keep(req)
	wantCode(t, err, codes.VaultFailed, "free space")
	if list, err := old.VaultEntries(); err != nil || len(list) != 0 {
		t.Errorf("after a vault without room: %+v, %v", list, err)
	}
	old.o.Headroom = 0

	e, err := keep(topology.RunRequest{})
	if err != nil || e.Complete || !strings.Contains(e.Missing, "not known") || e.Commits < 3 {
		t.Errorf("without a divergence point: %+v, %v", e, err)
	}

	if err := os.Remove(seg); err != nil {
		t.Fatal(err)
	}
	e, err = keep(req)
	if err != nil || e.Complete || e.Missing == "" {
		t.Errorf("with a segment of the lost WAL gone: %+v, %v", e, err)
	}

	writeFile(t, seg, content)
	e, err = keep(req)
	if err != nil || !e.Complete || e.Commits != 3 {
		t.Errorf("whole: %+v, %v", e, err)
	}

	if err := os.Remove(seg); err != nil {
		t.Fatal(err)
	}
	if err := old.RefillWAL(resync.Home, e); err != nil {
		t.Fatal(err)
	}
	if readFile(t, seg) != content {
		t.Error("the segment put back is another one")
	}
}

// A node made by a base backup has the history file of its own timeline alone,
// and needs no other: that one names every timeline before it. What is kept of
// it is complete, or its replaced directory would stay for good.
func TestVaultOfACopyWithoutOlderHistories(t *testing.T) {
	t.Parallel()
	primary, node := pair(t, setup{})
	node.promote(true)
	node.exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
	if _, err := node.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(node.dir, "standby.signal"), "")
	node.start()
	node.promote(true)
	point, err := topology.ParseLSN(node.query("SELECT pg_current_wal_insert_lsn()::text"))
	if err != nil {
		t.Fatal(err)
	}
	node.exec("CREATE TABLE lost (n int)", "INSERT INTO lost VALUES (1)")
	node.crash()
	if err := os.Remove(filepath.Join(node.dir, "pg_wal", topology.HistoryFileName(2))); err != nil {
		t.Fatal(err)
	}
	req := topology.RunRequest{Upstream: primary.upstream(), Divergence: point, DivergenceTLI: 3}
	e, err := node.Vault(t.Context(), req, resync.Home, nil)
	if err != nil || !e.Complete || e.TLI != 3 || e.Commits != 2 {
		t.Errorf("entry %+v, %v; want a complete one of timeline 3 with 2 commits", e, err)
	}
}
