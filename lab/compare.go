package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// TableComparison is one table's rows on all nodes.
type TableComparison struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"` // on the primary
	Match bool   `json:"match"`
	// Differences names the first few, for a person.
	Differences []string `json:"differences,omitempty"`
}

// Comparison is CompareCopies' result. Match: every table on every node.
type Comparison struct {
	Match  bool              `json:"match"`
	LSN    string            `json:"lsn"` // how far all had replayed at least
	Tables []TableComparison `json:"tables"`
}

// CompareCopies waits until every node has replayed what the primary holds
// now, then compares all tables of database app row by row, place in the table
// included: copies made by replication are equal down to that. Nothing may
// write meanwhile.
func (l *Lab) CompareCopies(ctx context.Context) (Comparison, error) {
	primary, err := l.WaitPrimary(ctx)
	if err != nil {
		return Comparison{}, fmt.Errorf("compare the copies: %w", err)
	}
	lsn, err := l.WaitReplayed(ctx, primary)
	if err != nil {
		return Comparison{}, fmt.Errorf("compare the copies: %w", err)
	}
	tables, err := l.appTables(ctx, primary)
	if err != nil {
		return Comparison{}, fmt.Errorf("compare the copies: %w", err)
	}
	out := Comparison{Match: true, LSN: lsn}
	for _, table := range tables {
		c, err := l.compareTable(ctx, table, primary)
		if err != nil {
			return Comparison{}, fmt.Errorf("compare the copies: table %s: %w", table, err)
		}
		out.Match = out.Match && c.Match
		out.Tables = append(out.Tables, c)
	}
	return out, nil
}

// WaitReplayed waits until every other node has replayed what node primary has
// flushed now, and gives that position.
func (l *Lab) WaitReplayed(ctx context.Context, primary int) (string, error) {
	lsn, err := l.Value(ctx, primary, "SELECT pg_current_wal_flush_lsn()")
	if err != nil {
		return "", err
	}
	for _, i := range l.allNodes() {
		if i == primary {
			continue
		}
		err := WaitFor(ctx, fmt.Sprintf("node %d to replay to %s", i, lsn), func(ctx context.Context) error {
			done, err := l.Value(ctx, i, "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", lsn)
			if err == nil && done != "true" {
				err = fmt.Errorf("it has not")
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return lsn, nil
}

func (l *Lab) appTables(ctx context.Context, i int) (tables []string, err error) {
	err = l.With(ctx, i, "app", func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname)
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
			ORDER BY 1`)
		if err != nil {
			return err
		}
		tables, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return tables, err
}

// compareTable hashes the rows in their physical order, and looks closer only
// where the hashes differ.
func (l *Lab) compareTable(ctx context.Context, table string, primary int) (TableComparison, error) {
	sums := make([]string, len(l.Nodes))
	counts := make([]int64, len(l.Nodes))
	g, group := errgroup.WithContext(ctx)
	for _, i := range l.allNodes() {
		g.Go(func() error {
			h := sha256.New()
			err := l.eachRow(group, i, table, func(row string) {
				counts[i]++
				h.Write([]byte(row))
				h.Write([]byte{0})
			})
			sums[i] = hex.EncodeToString(h.Sum(nil))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return TableComparison{}, err
	}
	c := TableComparison{Table: table, Rows: counts[primary], Match: true}
	for i := range sums {
		if sums[i] == sums[primary] {
			continue
		}
		c.Match = false
		diffs, err := l.rowDifferences(ctx, table, primary, i)
		if err != nil {
			return TableComparison{}, err
		}
		c.Differences = append(c.Differences, diffs...)
	}
	return c, nil
}

func (l *Lab) eachRow(ctx context.Context, i int, table string, see func(string)) error {
	return l.With(ctx, i, "app", func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "SET synchronize_seqscans = off; SET enable_indexscan = off; "+
			"SET max_parallel_workers_per_gather = 0"); err != nil {
			return err
		}
		rows, err := c.Query(ctx, "SELECT t.ctid::text || ' ' || t::text FROM "+table+" t")
		if err != nil {
			return err
		}
		var row string
		_, err = pgx.ForEachRow(rows, []any{&row}, func() error { see(row); return nil })
		return err
	})
}

func (l *Lab) rowDifferences(ctx context.Context, table string, a, b int) ([]string, error) {
	only := map[string]int{}
	if err := l.eachRow(ctx, a, table, func(r string) { only[r]++ }); err != nil {
		return nil, err
	}
	if err := l.eachRow(ctx, b, table, func(r string) { only[r]-- }); err != nil {
		return nil, err
	}
	var out []string
	for r, n := range only {
		switch {
		case n > 0:
			out = append(out, fmt.Sprintf("only on node %d: %s", a, r))
		case n < 0:
			out = append(out, fmt.Sprintf("only on node %d: %s", b, r))
		}
	}
	slices.Sort(out)
	if len(out) > 20 {
		out = append(out[:20], fmt.Sprintf("and %d more", len(out)-20))
	}
	return out, nil
}

// Missing are those of rows that node i does not hold.
func (l *Lab) Missing(ctx context.Context, i int, rows []Row) ([]Row, error) {
	have := map[string]bool{}
	err := l.With(ctx, i, "app", func(c *pgx.Conn) error {
		r, err := c.Query(ctx, "SELECT payload FROM app.ledger")
		if err != nil {
			return err
		}
		var payload string
		_, err = pgx.ForEachRow(r, []any{&payload}, func() error {
			have[strings.Clone(payload)] = true
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for acknowledged rows: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return have[r.Payload] }), nil
}
