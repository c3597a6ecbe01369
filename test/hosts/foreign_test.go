package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/lab"
)

// An agent of another cluster answers at the right address, with a good
// certificate: it is believed nothing, given no order, and it refuses orders itself.
func TestAgentOfAnotherCluster(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS})
	node := p.standby()
	foreign := filepath.Join(p.Dir, "foreign")
	out, err := p.Command(p.Ctx, "initdb", "-D", foreign, "--no-sync", "-A", "trust", "-U", "postgres").CombinedOutput()
	if err != nil {
		t.Fatalf("make another cluster: %v\n%s", err, out)
	}
	conf, err := os.ReadFile(p.AgentConf(node))
	p.Must(err)
	own := "data_directory: " + p.Nodes[node].DataDir
	if !strings.Contains(string(conf), own) {
		t.Fatalf("the agent's configuration does not say %s", own)
	}
	since := time.Now()
	p.Must(p.StopAgent(p.Ctx, node))
	p.Must(os.WriteFile(p.AgentConf(node), []byte(strings.Replace(string(conf), own, "data_directory: "+foreign, 1)),
		0o600))
	p.Must(p.StartAgent(p.Ctx, node))
	p.Must(p.Detach(p.Ctx, node))
	p.Code(node, "agent-foreign-system") // it streams, and its agent is a stranger's
	p.Must(p.KillNode(p.Ctx, node))
	p.Code(node, "foreign-system")
	p.NoRuns(node, since)
	if _, err := os.Stat(filepath.Join(foreign, "global", "pg_control")); err != nil {
		t.Errorf("the other cluster's data: %v", err)
	}
	p.Must(p.StopAgent(p.Ctx, node))
	p.Must(os.WriteFile(p.AgentConf(node), conf, 0o600))
	p.Must(p.StartAgent(p.Ctx, node))
	p.Whole("the right agent is back", since)
}

// Two nodes' agents are mixed up in repool.yaml: neither is given an order meant
// for the other.
func TestAgentsMixedUp(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH})
	conf, err := os.ReadFile(p.RepoolConf())
	p.Must(err)
	a, b := fmt.Sprintf("@%s:", p.Nodes[1].Host), fmt.Sprintf("@%s:", p.Nodes[2].Host)
	mixed := strings.NewReplacer(a, b, b, a).Replace(string(conf))
	if mixed == string(conf) {
		t.Fatal("the addresses are not in the configuration")
	}
	since := time.Now()
	p.Must(p.StopController(p.Ctx, 0))
	p.Must(os.WriteFile(p.RepoolConf(), []byte(mixed), 0o600))
	p.Must(p.StartController(p.Ctx, 0))
	p.unasked(1, "agent-wrong-node")
	p.unasked(2, "agent-wrong-node")
	p.Must(p.KillNode(p.Ctx, 1))
	p.Code(1, "agent-wrong-node")
	p.Must(p.StopController(p.Ctx, 0))
	p.Must(os.WriteFile(p.RepoolConf(), conf, 0o600))
	p.Must(p.StartController(p.Ctx, 0))
	p.Whole("the addresses are right again", since)
}
