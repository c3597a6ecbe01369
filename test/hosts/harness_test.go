package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

// slots bounds how many pools exist at a time, whatever -parallel says.
var slots = make(testpool.Slots, 3)

// pool is one real pool under test, each node and each Pgpool-II on a host of
// its own.
type pool struct{ *testpool.Pool }

// up builds a pool on hosts of its own, and takes it down with the test.
func up(t *testing.T, o lab.Options) *pool {
	t.Helper()
	o.Hosts = true
	return &pool{testpool.Up(t, slots, o)}
}

// unasked waits until the node's agent could not be asked, for that reason. A node
// that streams stays healthy without its agent.
func (p *pool) unasked(node int, want codes.Code) {
	p.T.Helper()
	p.Wait(fmt.Sprintf("the agent of node %d to be missed", node), func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		n := st.Snapshot.Node(topology.NodeID(node))
		if n == nil {
			return errors.New("the controller has not looked yet")
		}
		if n.Agent.Err == "" || n.Agent.ErrCode != want {
			return fmt.Errorf("code %q, error %q; want code %q", n.Agent.ErrCode, n.Agent.Err, want)
		}
		return nil
	})
}

// standby is the last node that is not the primary.
func (p *pool) standby() int {
	p.T.Helper()
	all := p.Standbys()
	return all[len(all)-1]
}

// attached says whether Pgpool-II routes to the node, as an error if it does not.
func (p *pool) attached(ctx context.Context, node int) error {
	for _, s := range p.Lab.Status(ctx) {
		if s.ID == node && !s.Attached {
			return fmt.Errorf("node %d is %s", node, s.Pool)
		}
	}
	return nil
}

// hooks is what the failover hook has written down.
func (p *pool) hooks() string {
	p.T.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, "controller", "hooks.log"))
	if err != nil && !os.IsNotExist(err) {
		p.T.Fatal(err)
	}
	return string(b)
}
