package hosts

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// A certificate that has expired: the node has a code, nothing is done to it, and
// a renewed one is taken up without a restart of agent or controller.
func TestCertificateExpires(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS})
	node := p.standby()
	since := time.Now()
	p.Must(p.RenewCert(p.NodeHost(node), time.Second))
	p.Must(p.StopAgent(p.Ctx, node)) // a connection that is open would know only when its own ends
	p.Must(p.StartAgent(p.Ctx, node))
	p.unasked(node, "agent-certificate")
	if err := p.attached(p.Ctx, node); err != nil {
		t.Errorf("a standby that streams was detached for it: %v", err)
	}
	agent, controller := p.AgentRuns(node), p.ControllerRuns(0)
	p.Must(p.RenewCert(p.NodeHost(node), time.Hour))
	p.Whole("the certificate was renewed", since)
	if !agent || !controller || !p.AgentRuns(node) || !p.ControllerRuns(0) {
		t.Error("something was restarted")
	}
	// The other side's: no agent lets the controller in.
	since = time.Now()
	p.Must(p.RenewCert(p.PgpoolHost(0), time.Second))
	p.Must(p.StopController(p.Ctx, 0))
	p.Must(p.StartController(p.Ctx, 0))
	p.Wait("the controller's own to expire", func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, n := range st.Snapshot.Nodes {
			if n.Agent.ErrCode != "agent-certificate" && n.Agent.ErrCode != "agent-not-allowed" {
				return fmt.Errorf("node %s: %q %s", n.ID, n.Agent.ErrCode, n.Agent.Err)
			}
		}
		return nil
	})
	p.Must(p.RenewCert(p.PgpoolHost(0), time.Hour))
	p.Whole("the controller's certificate was renewed", since)
}

// A controller that is taken out of agent.controllers is refused from its next
// call on, over the connection that is open and without a restart.
func TestControllerIsRevoked(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS, Standbys: 1})
	node := p.standby()
	conf, err := os.ReadFile(p.AgentConf(node))
	p.Must(err)
	revoked := strings.Replace(string(conf), "controllers: ["+p.PgpoolHost(0)+"]", "controllers: [another]", 1)
	if revoked == string(conf) {
		t.Fatal("the controller is not named in the agent's configuration")
	}
	since := time.Now()
	p.Must(os.WriteFile(p.AgentConf(node), []byte(revoked), 0o600))
	p.unasked(node, "agent-not-allowed")
	if err := p.attached(p.Ctx, node); err != nil {
		t.Errorf("a standby that streams was detached for it: %v", err)
	}
	p.Must(os.WriteFile(p.AgentConf(node), conf, 0o600))
	p.Whole("the controller is named again", since)
}

// The host's ssh key is not the known one: somebody else may be answering.
func TestWrongHostKey(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH})
	node := p.standby()
	known, err := os.ReadFile(p.KnownHosts())
	p.Must(err)
	lines := strings.Split(strings.TrimSpace(string(known)), "\n")
	other := (node + 1) % len(lines)
	swapped := append([]string(nil), lines...)
	address, _, _ := strings.Cut(lines[node], " ")
	_, key, _ := strings.Cut(lines[other], " ")
	swapped[node] = address + " " + key
	since := time.Now()
	p.Must(os.WriteFile(p.KnownHosts(), []byte(strings.Join(swapped, "\n")+"\n"), 0o600))
	if p.DropSSH(node) == 0 {
		t.Error("no ssh connection was open")
	}
	p.unasked(node, "agent-host-key")
	p.Must(p.KillNode(p.Ctx, node))
	p.Code(node, "agent-host-key")
	p.NoRuns(node, since)
	p.Must(os.WriteFile(p.KnownHosts(), known, 0o600))
	p.Whole("the right host key is known again", since)
	p.HealedBy(node, since, topology.MethodStart)
}

// An ssh that hangs after connecting, on the host of the primary that fails: the
// promotion is not held up beyond the hook's limits, and it is written down that
// the old primary could not be fenced.
func TestSSHThatHangs(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH})
	old := p.Primary()
	p.Must(p.Authorize(old, "exec sleep 600"))
	p.DropSSH(old)
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	p.NewPrimary(old)
	if took := time.Since(since); took > 20*time.Second {
		t.Errorf("the promotion took %s", took)
	}
	p.Code(old, "agent-unreachable")
	p.Must(p.Authorize(old, ""))
	p.DropSSH(old)
	p.Whole("ssh answers again", since)
	p.Equal()
}

// The agent has gone, and its PostgreSQL is healthy: the node stays in the pool.
// Then the reverse: the server has gone, the agent starts it.
func TestAgentGoneServerHealthyAndTheReverse(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH})
	node := p.standby()
	before := p.Postmaster(node)
	since := time.Now()
	p.Must(p.KillAgent(p.Ctx, node))
	p.unasked(node, "agent-not-running")
	if err := p.attached(p.Ctx, node); err != nil {
		t.Errorf("a standby that streams was detached for its agent: %v", err)
	}
	// Its server fails, too: nothing can be done there.
	p.Must(p.KillNode(p.Ctx, node))
	p.Code(node, "agent-not-running")
	p.Must(p.StartAgent(p.Ctx, node))
	p.Whole("the agent is back", since)
	p.HealedBy(node, since, topology.MethodStart)
	if after := p.Postmaster(node); after == before {
		t.Error("the server was never down")
	}
}

// A controller that is killed in the middle of a rewind, over ssh: the run is the
// agent's, and goes on; the next controller takes it up.
func TestRunOutlivesItsConnection(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH, NoWALLogHints: true, RepoolConfig: "policy: {max_rate: 16MB}\n"})
	p.Must(p.bulk(60))
	since := time.Now()
	old, lost := p.diverged(5)
	p.atStep(old, "copy")
	if p.DropSSH(old) == 0 {
		t.Error("no ssh connection was open")
	}
	p.Must(p.KillController(p.Ctx, 0))
	p.Must(p.StartController(p.Ctx, 0))
	p.Whole("the controller was killed", since)
	runs := p.ownRuns(old, since)
	if len(runs) != 1 || runs[0] != topology.RunDone {
		t.Errorf("the agent's own journal has %v, want one run, done", runs)
	}
	p.Vaulted(old, lost)
	p.Equal()
}
