package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/proof"
)

// proof compares the copies and accounts for every acknowledged row.
func (s *show) proof(ctx context.Context) error {
	s.tell.act, s.tell.since = nil, time.Now()
	fmt.Fprintln(s.o.Out)
	ctx, cancel := context.WithTimeout(ctx, actDeadline)
	defer cancel()
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("the pool at the end: %w", err)
	}
	r := &s.report
	r.Nodes = len(s.lab.Nodes)
	r.AllAttached = lab.Healthy(s.lab.Status(ctx)) == nil
	a, err := proof.Take(ctx, s.lab, append(s.writer.Acked(), s.lost...))
	if err != nil {
		return err
	}
	r.RowsMatch, r.Differences = a.Equal(), a.Differences
	r.AckedRows, r.PresentRows, r.VaultedRows = a.Acked, a.Present, a.Vaulted
	r.Unexplained, r.Falsely = len(a.Unexplained), len(a.Falsely)
	g := s.guard.Stop()
	r.BadAttach, r.Samples = g.Bad, g.Samples
	return nil
}
