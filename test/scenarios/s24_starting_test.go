package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S24: a standby that was killed before it was consistent again, and whose upstream
// is gone: its server is "starting" for as long as nobody gives it the WAL that it
// lacks, and answers nobody. It is pointed to the primary as it runs, and comes back
// without a restart and without a copy.
func TestS24StartingStandby(t *testing.T) {
	p := up(t, lab.Options{})
	primary, n := p.Primary(), p.Standbys()[1]
	p.Hold(n)
	p.Must(p.Exec(p.Ctx, primary, "CHECKPOINT"))
	p.Must(p.Exec(p.Ctx, primary, "SELECT pg_switch_wal()"))
	_, err := p.CommitRows(p.Ctx, primary, 50)
	p.Must(err)
	newest, err := p.Value(p.Ctx, primary, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	p.Must(err)
	_, err = p.WaitReplayed(p.Ctx, primary)
	p.Must(err)
	// The restart point writes the pages out: until the newest segment is replayed
	// again they are ahead of the WAL, and nobody may look.
	p.Must(p.Exec(p.Ctx, n, "CHECKPOINT"))
	p.Must(p.KillNode(p.Ctx, n))
	p.detached(n)
	dir := p.Nodes[n].DataDir
	segments, err := filepath.Glob(filepath.Join(dir, "pg_wal", "0000000[0-9]0000*"))
	p.Must(err)
	for _, s := range segments {
		if filepath.Base(s) >= newest {
			p.Must(os.Remove(s))
		}
	}
	out, err := p.Command(p.Ctx, "/bin/sh", "-c",
		`printf '%s' "$2" >> "$1/postgresql.auto.conf"; pg_ctl start -s -W -D "$1" -l "$1/../log/start.log"`,
		"sh", dir, "primary_conninfo = 'host=127.0.0.1 port=1 user=repl'\n").CombinedOutput()
	if err != nil {
		t.Fatalf("start node %d: %v\n%s", n, err, out)
	}
	since := time.Now()
	p.Wait("the server to be starting, as the controller sees it", func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		if a := st.Snapshot.Node(topology.NodeID(n)).Agent; a.Server != topology.ServerStarting || !a.At.After(since) {
			return fmt.Errorf("it is %s", a.Server)
		}
		return nil
	})
	pid := p.Postmaster(n)
	p.Release(n)
	p.Whole("a standby that was starting", since)
	p.HealedBy(n, since, topology.MethodFollow)
	if runs := p.Runs(n, since); slices.ContainsFunc(runs,
		func(r topology.RunState) bool { return r.Method != topology.MethodFollow }) || p.Postmaster(n) != pid {
		t.Errorf("more was done than to point it: %+v; postmaster %d, was %d", runs, p.Postmaster(n), pid)
	}
	p.Equal()
}
