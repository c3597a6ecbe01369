package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/repool/repool/internal/config"
)

// sshKeys adds, for each node whose agent is reached over ssh, the line for
// authorized_keys on its host: the key can do nothing but reach the agent.
func (m *maker) sshKeys(context.Context) error {
	key, found := m.publicKey()
	for _, n := range m.facts.Pool.Nodes {
		if n.Agent.Kind != config.AgentSSH {
			continue
		}
		what := fmt.Sprintf("put this line into ~%s/.ssh/authorized_keys on %s, where repool agent runs",
			orElse(n.Agent.User, "postgres"), n.Agent.Host)
		if !found {
			what = "create a key for repool (ssh-keygen -t ed25519, without a passphrase, as " + m.own.name + "); then " + what
		}
		m.add(Item{ID: "ssh-key", Subject: subject(n.ID), What: what, Manual: true,
			Lines: []string{"+ " + AuthorizedKey(m.facts.Program, int(n.ID), key)}})
	}
	return nil
}

// AuthorizedKey is the line of authorized_keys that lets key reach the agent of a
// node and nothing else: no shell, no forwarding, no terminal.
func AuthorizedKey(program string, node int, key string) string {
	return fmt.Sprintf("restrict,command=\"%s agent --stdio --node %d\" %s", program, node, key)
}

// publicKey is the service user's key, or a placeholder.
func (m *maker) publicKey() (key string, found bool) {
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		text, err := os.ReadFile(filepath.Join(m.own.home, ".ssh", name+".pub"))
		if line, _, _ := strings.Cut(string(text), "\n"); err == nil && strings.Count(line, " ") > 0 {
			return strings.TrimSpace(line), true
		}
	}
	return "ssh-ed25519 PUBLIC-KEY " + m.own.name + "@pgpool-host", false
}
