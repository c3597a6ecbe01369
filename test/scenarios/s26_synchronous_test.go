package scenarios

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/lab"
)

// S26: commits wait for the synchronous standby, which hangs for three seconds as the
// primary dies; another standby answers at once and lacks them. The synchronous one is
// waited for, and everything that was acknowledged is there afterwards. Then its like
// does not come back at all: nothing is promoted, loudly, until it does.
func TestS26SynchronousStandbyIsWaitedFor(t *testing.T) {
	p := up(t, lab.Options{SyncStandbys: "FIRST 1 (node1, node0, node2)",
		RepoolConfig: "policy: {failover: {wait: 15s}}\n"})
	old, synchronous, other := p.roles()
	acknowledged := p.behindTheSynchronous(old, other, synchronous)
	since := time.Now()
	p.Must(p.Freeze(p.Ctx, synchronous))
	p.Must(p.KillNode(p.Ctx, old))
	time.AfterFunc(3*time.Second, func() { _ = p.Thaw(p.Ctx, synchronous) }) // if it fails, so does the wait below
	fresh, err := p.WaitNewPrimary(p.Ctx, old)
	p.Must(err)
	if fresh != synchronous {
		t.Errorf("node %d was promoted, want node %d, the synchronous one", fresh, synchronous)
	}
	// Pgpool-II may have noted meanwhile that the frozen node is down, and then replaces it.
	p.Whole("the synchronous standby promoted", since)
	p.nothingLost(acknowledged)
	p.Equal()

	old, synchronous, other = p.roles()
	acknowledged = append(acknowledged, p.behindTheSynchronous(old, other, synchronous)...)
	since = time.Now()
	p.Must(p.Freeze(p.Ctx, synchronous))
	p.Must(p.KillNode(p.Ctx, old))
	p.Code(other, codes.SynchronousMissing)
	p.Wait("the history to tell it", func(ctx anyContext) error {
		return p.happened(ctx, other, since, "decision", codes.SynchronousMissing)
	})
	p.Must(p.Thaw(p.Ctx, synchronous))
	p.Whole("promoted when it was back", since)
	p.nothingLost(acknowledged)
	p.Equal()
}

// roles waits until the record for the failover hook has one synchronous standby, and gives
// the primary, that standby and the other one.
func (p *pool) roles() (primary, synchronous, other int) {
	p.T.Helper()
	p.Wait("the controller to have noted the synchronous standby", func(ctx anyContext) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		s, of := st.Snapshot.Promoted.Synchronous, int(st.Snapshot.Promoted.Node)
		if !s.Promised() || len(s.Members) != 1 || of != p.Primary() {
			return fmt.Errorf("the record of node %d has %+v", of, s)
		}
		primary, synchronous = of, int(s.Members[0].Node)
		other = 3 - primary - synchronous
		return nil
	})
	return primary, synchronous, other
}

// behindTheSynchronous commits rows that one standby does not get and the synchronous one
// has confirmed, and gives them.
func (p *pool) behindTheSynchronous(primary, behind, synchronous int) (payloads []string) {
	p.T.Helper()
	p.freezeSenderTo(behind)
	err := p.With(p.Ctx, primary, "app", func(c *pgx.Conn) error {
		for i := range 10 {
			text := fmt.Sprintf("acknowledged by node %d, %d", synchronous, i)
			if _, err := c.Exec(p.Ctx, "INSERT INTO app.ledger (payload) VALUES ($1)", text); err != nil {
				return err
			}
			payloads = append(payloads, text)
		}
		return nil
	})
	p.Must(err)
	return payloads
}

// nothingLost wants every row on the primary of now.
func (p *pool) nothingLost(payloads []string) {
	p.T.Helper()
	err := p.With(p.Ctx, p.Primary(), "app", func(c *pgx.Conn) error {
		var found int
		if err := c.QueryRow(p.Ctx, "SELECT count(*) FROM app.ledger WHERE payload = ANY($1)", payloads).
			Scan(&found); err != nil {
			return err
		}
		if found != len(payloads) {
			p.T.Errorf("%d of %d acknowledged rows are on the new primary", found, len(payloads))
		}
		return nil
	})
	p.Must(err)
}
