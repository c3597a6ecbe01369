package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// stopped waits until the node's server does not run.
func (p *pool) stopped(node int) {
	p.T.Helper()
	p.Wait("the server to be stopped", func(context.Context) error {
		if p.Postmaster(node) != 0 {
			return errors.New("it runs")
		}
		return nil
	})
}

// An agent that may do so stops a primary on a host that is cut off, and again
// when somebody starts it there (hazard 27), until a controller calls again.
func TestPrimaryOfACutOffHostIsStopped(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS, AgentSettings: map[string]string{"when_alone": "stop",
		"alone_after": "6s"}})
	old := p.Primary()
	since := time.Now()
	p.Must(p.Part(p.Ctx, p.NodeHost(old), ""))
	p.stopped(old)
	if took := time.Since(since); took < 5*time.Second {
		t.Errorf("stopped after %s, before the limit", took)
	}
	p.NewPrimary(old)
	// A service manager; the agent may stop the server before it is ready.
	if err := p.StartNode(p.Ctx, old); err != nil {
		t.Logf("start the old primary: %v", err)
	}
	p.Wait("the agent to stop it once more", func(context.Context) error {
		log, err := os.ReadFile(p.AgentLog(old))
		if n := strings.Count(string(log), "no controller has called"); err == nil && n < 2 {
			err = fmt.Errorf("stopped %d times so far", n)
		}
		return err
	})
	p.stopped(old)
	// A standby on a cut-off host is left alone.
	other := p.standby()
	p.Must(p.Part(p.Ctx, p.NodeHost(other), ""))
	p.Code(other, "agent-unreachable")
	cut := time.Now()
	p.Wait("longer than the limit to go by", func(context.Context) error {
		if p.Postmaster(other) == 0 {
			return lab.Stop(errors.New("the standby was stopped"))
		}
		if time.Since(cut) < 8*time.Second {
			return errors.New("not yet")
		}
		return nil
	})
	p.Must(p.HealNetwork(p.Ctx))
	p.Whole("the hosts are back", since)
	p.Equal()
}

// A host loses its power with the primary on it, and comes back with the server
// set to start at boot: it is stopped, its lost commits are in the vault.
func TestPowerOffAndReturn(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH, Durable: true})
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 5)
	p.Must(err)
	since := time.Now()
	p.Must(p.PowerOff(p.Ctx, p.NodeHost(old)))
	p.NewPrimary(old)
	p.Must(p.PowerOnNode(p.Ctx, old, true))
	p.Whole("the host is back", since)
	p.Vaulted(old, lost)
	p.Equal()
	if !strings.Contains(p.hooks(), "not fenced") {
		t.Error("it is not written down that the old primary could not be fenced")
	}

	// The same once more, and its start is held at boot: nobody ever writes there.
	old = p.Primary()
	lost, err = p.Diverge(p.Ctx, old, 5)
	p.Must(err)
	since = time.Now()
	p.Must(p.PowerOff(p.Ctx, p.NodeHost(old)))
	p.NewPrimary(old)
	gone := p.held(old)
	p.Must(p.PowerOnNode(p.Ctx, old, false))
	p.Wait("the start to go on", func(ctx context.Context) error {
		for _, s := range p.Lab.Status(ctx) {
			if s.ID == old && s.Primary {
				t.Errorf("node %d accepts writes", old)
			}
		}
		select {
		case said := <-gone:
			if !strings.Contains(said, "would start as a primary") || !strings.Contains(said, "may start: it") {
				t.Errorf("it says %q", said)
			}
			return nil
		default:
			return errors.New("it is held")
		}
	})
	t.Logf("started at boot: %v", p.StartNode(p.Ctx, old)) // repool may have been quicker
	p.Whole("a host whose start was held", since)
	p.HealedBy(old, since, topology.MethodRewind)
	p.Vaulted(old, lost)
	p.Equal()
}

// held runs what a service manager runs before a server of that host, and waits
// until it holds the start. What it has said comes when it has ended well.
func (p *pool) held(node int) (gone chan string) {
	p.T.Helper()
	var said bytes.Buffer
	gate := p.Command(p.Ctx, p.RepoolBin(), "agent", "hold-start", "--config", p.AgentConf(node))
	gate.Stderr = &said
	p.Must(gate.Start())
	gone = make(chan string, 1)
	go func() {
		err := gate.Wait()
		if err != nil {
			fmt.Fprintf(&said, "%v", err)
		}
		gone <- said.String()
	}()
	p.Wait("the start to be held", func(context.Context) error {
		_, err := os.Stat(filepath.Join(p.WorkDir(node), "start-held.json"))
		return err
	})
	return gone
}
