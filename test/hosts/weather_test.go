package hosts

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// Of what any node sends, two packets in a hundred are lost: a rewind and a base
// backup end well all the same.
func TestRandomLoss(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS})
	for i := range p.Nodes {
		p.Must(p.LoseSome(p.Ctx, p.NodeHost(i), "", 2))
	}
	since := time.Now()
	old, lost := p.diverged(5)
	p.Whole("a rewind", since)
	p.HealedBy(old, since, topology.MethodRewind)
	p.Vaulted(old, lost)
	since = time.Now()
	node := p.standby()
	p.Must(p.DestroyData(p.Ctx, node))
	p.Whole("a base backup", since)
	p.HealedBy(node, since, topology.MethodBaseBackup)
	p.Equal()
}

// Between any two nodes 50 to 100 ms go by in each direction, and up to 200 ms for
// a standby that is further away.
func TestDelay(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH})
	far := p.standby()
	for i := range p.Nodes {
		most := 50 * time.Millisecond
		if i == far {
			most = 150 * time.Millisecond
		}
		p.Must(p.Delay(p.Ctx, p.NodeHost(i), 25*time.Millisecond, most))
	}
	since := time.Now()
	old, lost := p.diverged(5)
	p.Whole("a rewind", since)
	p.HealedBy(old, since, topology.MethodRewind)
	p.Vaulted(old, lost)
	p.Equal()
}
