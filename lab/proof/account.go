package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/vault"
	"github.com/repool/repool/lab"
)

// Account is what became of the acknowledged rows.
type Account struct {
	// Acked rows are Present on the primary, Vaulted in a report, or neither.
	Acked       int       `json:"acked_rows"`
	Present     int       `json:"present_rows"`
	Vaulted     int       `json:"vaulted_rows"`
	Unexplained []lab.Row `json:"unexplained_rows,omitempty"`
	// Falsely are rows that a vault report calls lost and the primary has.
	Falsely []lab.Row `json:"falsely_vaulted_rows,omitempty"`
	// Missing are the acknowledged rows that the primary does not have.
	Missing []lab.Row `json:"-"`
	// Differences between the copies, the first few; empty: they are equal.
	Differences []string `json:"differences,omitempty"`
}

// Equal says that all copies hold the same.
func (a Account) Equal() bool { return len(a.Differences) == 0 }

// Commit names a commit for ever: a transaction id comes again on another
// node, and on another timeline of the same one.
type Commit struct {
	Node     int
	Timeline topology.TimelineID
	XID      uint64
}

// CommitOf is the commit that made a row.
func CommitOf(r lab.Row) Commit { return Commit{r.Node, r.Timeline, r.XID} }

// Take compares the copies and accounts for every acknowledged row.
func Take(ctx context.Context, l *lab.Lab, acked []lab.Row) (Account, error) {
	a := Account{Acked: len(acked)}
	cmp, err := l.CompareCopies(ctx)
	if err != nil {
		return a, err
	}
	for _, t := range cmp.Tables {
		a.Differences = append(a.Differences, t.Differences...)
	}
	if !cmp.Match && len(a.Differences) == 0 {
		a.Differences = []string{"the copies differed for a moment"}
	}
	primary, err := l.WaitPrimary(ctx)
	if err != nil {
		return a, err
	}
	if a.Missing, err = l.Missing(ctx, primary, acked); err != nil {
		return a, err
	}
	lost, err := Vaulted(l)
	if err != nil {
		return a, err
	}
	a.weigh(acked, lost)
	return a, nil
}

// weigh sorts the rows, knowing which are missing.
func (a *Account) weigh(acked []lab.Row, lost map[Commit]bool) {
	a.Present = len(acked) - len(a.Missing)
	missing := map[string]bool{}
	for _, r := range a.Missing {
		missing[r.Payload] = true
		if lost[CommitOf(r)] {
			a.Vaulted++
		} else {
			a.Unexplained = append(a.Unexplained, r)
		}
	}
	for _, r := range acked {
		if !missing[r.Payload] && lost[CommitOf(r)] {
			a.Falsely = append(a.Falsely, r)
		}
	}
}

// Vaulted are the commits that the vault reports of all nodes call lost.
func Vaulted(l *lab.Lab) (map[Commit]bool, error) {
	out := map[Commit]bool{}
	for _, n := range l.Nodes {
		if err := vaultedOf(l, n.ID, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// VaultedOf is Vaulted for one node.
func VaultedOf(l *lab.Lab, node int) (map[Commit]bool, error) {
	out := map[Commit]bool{}
	return out, vaultedOf(l, node, out)
}

func vaultedOf(l *lab.Lab, node int, out map[Commit]bool) error {
	reports, err := filepath.Glob(filepath.Join(l.Nodes[node].WorkDir(), "vault", "*", "report.json"))
	if err != nil {
		return err
	}
	for _, path := range reports {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read vault report: %w", err)
		}
		var rep vault.Report
		if err := json.Unmarshal(b, &rep); err != nil {
			return fmt.Errorf("read vault report %s: %w", path, err)
		}
		if rep.Diverged == 0 {
			continue // it lists all commits of the node's WAL and calls none lost
		}
		for _, c := range rep.Commits {
			out[Commit{node, rep.History.TimelineAt(c.LSN), uint64(c.XID)}] = true
		}
	}
	return nil
}
