package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
)

// Report lists what was committed past the divergence point. There can be millions
// of commits: the file is written as they are read, so its totals are at the end.
type Report struct {
	ReportHead
	Commits []Commit `json:"commits"`
	ReportTail
}

// ReportHead is what is known before the WAL is read.
type ReportHead struct {
	Entry    string            `json:"entry"` // id of the vault entry
	Node     topology.NodeID   `json:"node"`
	SystemID topology.SystemID `json:"system_id"`
	History  topology.History  `json:"history"`
	Diverged topology.LSN      `json:"diverged"` // zero: not known
}

// ReportTail is what is known when it has been read.
type ReportTail struct {
	// RowsFrom is from where row changes were counted: a transaction that
	// began before it has done more than is listed.
	RowsFrom topology.LSN `json:"rows_from"`
	End      topology.LSN `json:"end"`
	Complete bool         `json:"complete"`
	Missing  string       `json:"missing,omitempty"`
	Totals   Totals       `json:"totals"`
}

// Totals are over all commits of a report.
type Totals struct {
	Commits   int                        `json:"commits"`
	DDL       int                        `json:"ddl,omitempty"` // commits that changed the catalogs
	Inserts   int                        `json:"inserts"`
	Updates   int                        `json:"updates"`
	Deletes   int                        `json:"deletes"`
	Relations map[string]pgdata.RowCount `json:"relations,omitempty"`
	// Open transactions were neither committed nor aborted at the end, and
	// Prepared ones among them wait for their second phase.
	Open     int `json:"open,omitempty"`
	Prepared int `json:"prepared,omitempty"`
	// Unread counts records whose layout was not understood.
	Unread int `json:"unread,omitempty"`
}

// Commit is one committed transaction.
type Commit struct {
	XID      uint32       `json:"xid"`
	Subxacts []uint32     `json:"subxacts,omitempty"`
	LSN      topology.LSN `json:"lsn"`
	Time     time.Time    `json:"time"` // by the lost node's clock
	GID      string       `json:"gid,omitempty"`
	// DDL is a hint: the commit told other sessions of a changed catalog.
	DDL       bool                       `json:"ddl,omitempty"`
	Relations map[string]pgdata.RowCount `json:"relations,omitempty"`
}

// report reads the copy, not the original: so it also proves the copy. What
// cannot be told goes into k.missing. An error means that there is no report.
func (k *keeper) report(ctx context.Context) (ReportTail, error) {
	out, err := createReport(filepath.Join(k.tmp, reportName), ReportHead{Entry: k.entry.ID, Node: k.Node,
		SystemID: k.control.SystemID, History: k.history, Diverged: k.Diverged})
	if err != nil {
		return ReportTail{}, err
	}
	defer out.abandon()
	out.spare = k.spare
	rep := ReportTail{End: k.End, Totals: Totals{Relations: map[string]pgdata.RowCount{}}}
	k.tell(ctx, out, &rep)
	if err := context.Cause(ctx); err != nil {
		return rep, err
	}
	rep.Missing = strings.Join(k.missing, "; ")
	rep.Complete = rep.Missing == ""
	return rep, out.finish(rep)
}

// tell writes the commits and fills rep with the rest.
func (k *keeper) tell(ctx context.Context, out *reportFile, rep *ReportTail) {
	miss := func(format string, args ...any) { k.missing = append(k.missing, fmt.Sprintf(format, args...)) }
	w, err := pgdata.OpenWALDir(filepath.Join(k.tmp, walName), k.history.TLI, k.history, k.control.SegmentSize)
	if err != nil {
		miss("the WAL cannot be read: %v", err)
		return
	}
	defer w.Close()
	w.Expect(k.control)
	w.StopWith(ctx)
	if k.Diverged == 0 {
		miss("where the node diverged is not known: every commit in its WAL is listed, lost or not")
	} else if k.End != 0 && k.End <= k.Diverged {
		rep.RowsFrom = k.End
		return // nothing past the divergence point
	}
	from := k.entry.From
	rep.RowsFrom = from
	lost, err := k.list(w, from, out, rep)
	if k.Diverged != 0 && from != k.Diverged && errors.Is(err, errNoBegin) {
		// Nothing sound to begin with before the divergence point: the lost
		// part itself may still be whole.
		rep.RowsFrom = k.Diverged
		lost, err = k.list(w, k.Diverged, out, rep)
	}
	switch {
	case out.err != nil:
		return // told by finish
	case err != nil:
		miss("the WAL from %s on cannot be read: %v", from, err)
	case lost.End.Beyond != 0:
		miss("WAL is missing between %s and %s", lost.End.LSN, lost.End.Beyond)
	case k.End != 0 && lost.End.LSN < k.End:
		miss("WAL is damaged at %s, before its end at %s", lost.End.LSN, k.End)
	}
	if lost.Unread > 0 {
		miss("%d records with row changes were not understood", lost.Unread)
	}
	rep.Totals.Open, rep.Totals.Prepared, rep.Totals.Unread = lost.Open, lost.Prepared, lost.Unread
	if rep.End == 0 {
		rep.End = lost.End.LSN
	}
}

// errNoBegin: there is no valid record where the walk should begin.
var errNoBegin = errors.New("no valid record there")

// list walks the WAL and writes each commit to the report.
func (k *keeper) list(w *pgdata.WAL, from topology.LSN, out *reportFile, rep *ReportTail) (pgdata.Lost, error) {
	since := k.Diverged
	lost, err := w.Transactions(from, since, func(t pgdata.Transaction) error {
		c := Commit{XID: t.XID, Subxacts: t.Subxacts, LSN: t.LSN, Time: t.Time, GID: t.GID, DDL: t.Invalidations > 0}
		for rel, n := range t.Rows {
			if !rel.User() {
				continue
			}
			if c.Relations == nil {
				c.Relations = map[string]pgdata.RowCount{}
			}
			name := k.relation(rel)
			c.Relations[name] = n
			sum := rep.Totals.Relations[name]
			sum.Add(n)
			rep.Totals.Relations[name] = sum
			if !n.Toast {
				rep.Totals.Inserts += n.Inserts
				rep.Totals.Updates += n.Updates
				rep.Totals.Deletes += n.Deletes
			}
		}
		rep.Totals.Commits++
		if c.DDL {
			rep.Totals.DDL++
		}
		return out.add(c)
	})
	if err != nil && lost.End.LSN == 0 && rep.Totals.Commits == 0 {
		return lost, errors.Join(errNoBegin, err)
	}
	return lost, err
}

// relation names a relation's files, for people where that can be done.
func (k *keeper) relation(rel pgdata.RelFile) string {
	if k.Name != nil {
		if name := k.Name(rel); name != "" {
			return name
		}
	}
	return rel.String()
}

// relations is the number of changed rows of each relation.
func (r ReportTail) relations() map[string]int {
	if len(r.Totals.Relations) == 0 {
		return nil
	}
	out := map[string]int{}
	for name, n := range r.Totals.Relations {
		out[name] = n.Inserts + n.Updates + n.Deletes
	}
	return out
}
