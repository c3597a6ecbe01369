package hosts

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
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

// A base backup over a link of 40 Mbit/s, compressed on its way: it is unpacked as
// it comes, what is shown are the bytes that it holds, and far fewer were sent.
func TestCompressedBaseBackup(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS, RepoolConfig: "policy: {compression: auto}\n"})
	p.Must(p.bulk(60))
	source, node := p.NodeHost(p.Primary()), p.standby()
	p.Must(p.SlowLink(p.Ctx, source, "40mbit"))
	before, err := p.Sent(source)
	p.Must(err)
	since := time.Now()
	p.Must(p.DestroyData(p.Ctx, node))
	p.Whole("a compressed base backup", since)
	after, err := p.Sent(source)
	p.Must(err)
	run := p.HealedBy(node, since, topology.MethodBaseBackup)
	if sent := after - before; run.BytesDone < 80<<20 || sent > run.BytesDone/2 {
		t.Errorf("%d bytes were sent for a copy of %d", sent, run.BytesDone)
	}
	p.Equal()
}
