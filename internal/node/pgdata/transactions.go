package pgdata

import (
	"github.com/repool/repool/internal/core/topology"
)

// RowCount counts what was done to rows of one table.
type RowCount struct {
	Inserts int `json:"inserts,omitempty"`
	Updates int `json:"updates,omitempty"`
	Deletes int `json:"deletes,omitempty"`
	// Toast says that the table holds long values of another one, as far as
	// the WAL tells (see RowChange.Toast).
	Toast bool `json:"toast,omitempty"`
}

// Add adds o's numbers to n.
func (n *RowCount) Add(o RowCount) {
	n.Inserts += o.Inserts
	n.Updates += o.Updates
	n.Deletes += o.Deletes
	n.Toast = n.Toast || o.Toast
}

func (n *RowCount) count(c RowChange) {
	n.Toast = n.Toast || c.Toast
	switch {
	case c.Undone:
		n.Inserts--
	case c.Op == RowInsert:
		n.Inserts += c.Rows()
	case c.Op == RowUpdate:
		n.Updates += c.Rows()
	case c.Op == RowDelete:
		n.Deletes += c.Rows()
	}
}

// Transaction is a committed transaction with what it did to rows, its
// subtransactions included. Tables are named by files: see RelFile.
type Transaction struct {
	Commit
	Rows map[RelFile]RowCount
}

// Lost is what Transactions found besides the transactions themselves.
type Lost struct {
	End          WALEnd
	Transactions int
	Rows         map[RelFile]RowCount // over all of them
	// Open are transactions with row changes in the range read, of which it
	// has neither a commit nor an abort; Prepared the prepared ones among them.
	Open     int
	Prepared int
	// Unread counts records whose layout was not understood: row changes in
	// them are missing from the numbers.
	Unread int
}

// Transactions walks the WAL from from and shows each transaction whose commit
// record starts at or after since, with its row changes from from on. With
// from the last common checkpoint and since the divergence point these are the
// lost ones. An error of see ends the walk and is returned.
func (w *WAL) Transactions(from, since topology.LSN, see func(Transaction) error) (Lost, error) {
	t := tally{rows: map[uint32]map[RelFile]RowCount{}, prepared: map[uint32]bool{}, since: since, see: see,
		lost: Lost{Rows: map[RelFile]RowCount{}}}
	end, err := w.Walk(from, t.record)
	t.lost.End, t.lost.Open, t.lost.Prepared = end, len(t.rows), len(t.prepared)
	return t.lost, err
}

// tally is the state of one walk of Transactions.
type tally struct {
	rows     map[uint32]map[RelFile]RowCount // per (sub)transaction still open
	prepared map[uint32]bool
	since    topology.LSN
	see      func(Transaction) error
	lost     Lost
}

func (t *tally) record(r Record) error {
	if r.Rmgr == RmgrXact {
		return t.transactionRecord(r)
	}
	c, ok, err := r.RowChange()
	if err != nil {
		t.lost.Unread++
	}
	if err != nil || !ok || r.XID == 0 {
		return nil
	}
	of := t.rows[r.XID]
	if of == nil {
		of = map[RelFile]RowCount{}
		t.rows[r.XID] = of
	}
	n := of[c.Rel]
	n.count(c)
	of[c.Rel] = n
	return nil
}

func (t *tally) transactionRecord(r Record) error {
	switch r.Info & xactOpMask {
	case xactPrepare:
		t.prepared[r.XID] = true
		return nil
	case xactAbort, xactAbortPrepared:
		a, err := r.endOfTransaction()
		if err != nil {
			t.lost.Unread++
			return nil
		}
		t.close(a)
		return nil
	case xactCommit, xactCommitPrepared:
		c, _, err := r.Commit()
		if err != nil {
			return err // a commit that cannot be told must not go uncounted
		}
		rows := t.close(c)
		if r.Start < t.since {
			return nil
		}
		t.lost.Transactions++
		for rel, n := range rows {
			sum := t.lost.Rows[rel]
			sum.Add(n)
			t.lost.Rows[rel] = sum
		}
		return t.see(Transaction{Commit: c, Rows: rows})
	}
	return nil
}

// close takes the row changes of a transaction that ended and of its
// subtransactions out of the open ones.
func (t *tally) close(c Commit) map[RelFile]RowCount {
	delete(t.prepared, c.XID)
	rows := t.rows[c.XID]
	delete(t.rows, c.XID)
	for _, sub := range c.Subxacts {
		of := t.rows[sub]
		delete(t.rows, sub)
		if rows == nil {
			rows = of
			continue
		}
		for rel, n := range of {
			sum := rows[rel]
			sum.Add(n)
			rows[rel] = sum
		}
	}
	return rows
}
