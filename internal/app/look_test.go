package app

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

// TestVaultsAsksAllAgentsAtOnce: three hosts that are cut off take as long as one.
func TestVaultsAsksAllAgentsAtOnce(t *testing.T) {
	t.Parallel()
	p := &config.Pool{}
	for i := range 3 {
		path := filepath.Join(t.TempDir(), "agent.sock")
		l, err := net.Listen("unix", path) // takes connections and never answers
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		n := config.NodeConf{Agent: config.Agent{Kind: config.AgentUnix, Path: path}}
		n.ID = topology.NodeID(i)
		p.Nodes = append(p.Nodes, n)
	}
	begun := time.Now()
	all, err := Vaults(t.Context(), p, slog.New(slog.DiscardHandler))
	if took := time.Since(begun); took > 2*vaultDeadline {
		t.Errorf("it took %s", took)
	}
	if len(all) != 0 || exit.Code(err) != exit.Unreachable {
		t.Errorf("got %v, error %v", all, err)
	}
	for _, node := range []string{"0", "1", "2"} {
		if err == nil || strings.Count(err.Error(), "the vault of node "+node) != 1 {
			t.Errorf("node %s: %v", node, err)
		}
	}
	t.Log(err)
}
