package pgdata

import (
	"fmt"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// checkTransactions compares commits with pg_waldump's lines of resource
// manager Transaction, and counts rows against what the workload did.
func checkTransactions(t *testing.T, w *WAL, from topology.LSN, dump []dumped) {
	var commits []Commit
	for c, err := range w.Commits(from) {
		if err != nil {
			t.Fatal(err)
		}
		commits = append(commits, c)
	}
	i := 0
	for _, d := range dump {
		if d.rmgr != "Transaction" || !strings.HasPrefix(d.desc, "COMMIT") {
			continue
		}
		if i >= len(commits) {
			t.Fatalf("no commit for %s", d.lsn)
		}
		compareCommit(t, commits[i], d)
		i++
	}
	want(t, "commits", len(commits), i)
	checkRowCounts(t, w, from, len(commits))
}

func compareCommit(t *testing.T, c Commit, d dumped) {
	t.Helper()
	want(t, "LSN", c.LSN, d.lsn)
	if !strings.Contains(d.desc, c.Time.Format("2006-01-02 15:04:05.000000 UTC")) {
		t.Errorf("commit %d: got time %s, pg_waldump says %s", c.XID, c.Time, d.desc)
	}
	want(t, "prepared", c.Prepared, strings.HasPrefix(d.desc, "COMMIT_PREPARED"))
	if c.Prepared {
		want(t, "GID", c.GID, "one")
		if !strings.Contains(d.desc, fmt.Sprintf("PREPARED %d:", c.XID)) {
			t.Errorf("prepared commit: got XID %d, pg_waldump says %s", c.XID, d.desc)
		}
	} else {
		want(t, "XID", c.XID, d.tx)
	}
	var subs []string
	for _, s := range c.Subxacts {
		subs = append(subs, fmt.Sprint(s))
	}
	if _, text, ok := strings.Cut(d.desc, "; subxacts: "); ok != (len(subs) > 0) ||
		!strings.HasPrefix(text, strings.Join(subs, " ")) {
		t.Errorf("commit %d: got subtransactions %v, pg_waldump says %s", c.XID, subs, d.desc)
	}
	for _, r := range c.Dropped {
		if !strings.Contains(d.desc, fmt.Sprintf("base/%d/%d", r.Database, r.Relation)) {
			t.Errorf("commit %d: got dropped %s, pg_waldump says %s", c.XID, r, d.desc)
		}
	}
	want(t, "drops", len(c.Dropped) > 0, strings.Contains(d.desc, "; rels:"))
	want(t, "invalidations", c.Invalidations > 0, strings.Contains(d.desc, "; inval msgs:"))
}

// checkRowCounts takes the first user table for a and its numbers from the
// workload; what was rolled back must not count.
func checkRowCounts(t *testing.T, w *WAL, from topology.LSN, commits int) {
	var some []Transaction
	lost, err := w.Transactions(from, 0, func(tx Transaction) error {
		some = append(some, tx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "transactions", lost.Transactions, commits)
	want(t, "seen", len(some), commits)
	want(t, "open and unread", fmt.Sprint(lost.Open, lost.Prepared, lost.Unread), "0 0 0")
	found := map[string]int{}
	for rel, n := range lost.Rows {
		if rel.User() {
			found[fmt.Sprintf("%d/%d/%d", n.Inserts, n.Updates, n.Deletes)]++
		}
	}
	// a: 3000 + 2 (savepoints) + 1 (prepared) + 2 + 40; updated 50 + 1; deleted 10. b: 2000 and 100 by COPY.
	for _, numbers := range []string{"3045/51/10", "2100/0/0"} {
		if found[numbers] != 1 {
			t.Errorf("no table with inserts/updates/deletes %s: got %v", numbers, found)
		}
	}
	since := some[len(some)-1].LSN
	tail, err := w.Transactions(from, since, func(Transaction) error { return nil })
	want(t, "transactions since the last commit", fmt.Sprint(tail.Transactions, err), "1 <nil>")
	for rel, n := range tail.Rows {
		want(t, "its rows in "+rel.String(), n.Inserts, 40)
	}
}
