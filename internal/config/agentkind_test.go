package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseAgent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Agent{
		"local":                     {Kind: AgentLocal},
		"unix:/run/a.sock":          {Kind: AgentUnix, Path: "/run/a.sock"},
		"https://db1:7411":          {Kind: AgentTLS, Host: "db1", Port: 7411},
		"https://[2001:db8::1]:7":   {Kind: AgentTLS, Host: "2001:db8::1", Port: 7},
		"ssh://db1":                 {Kind: AgentSSH, Host: "db1"},
		"ssh://postgres@db1:2222":   {Kind: AgentSSH, User: "postgres", Host: "db1", Port: 2222},
		"ssh://postgres@10.0.0.1":   {Kind: AgentSSH, User: "postgres", Host: "10.0.0.1"},
		"ssh://pg@[2001:db8::1]:22": {Kind: AgentSSH, User: "pg", Host: "2001:db8::1", Port: 22},
	} {
		got, err := parseAgent(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := parseAgent(got.String()); err != nil || again != got {
			t.Errorf("%s is written as %s, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "far", "unix:relative", "http://db1:7411", "https://db1", "https://:7411", "https://u@db1:1", "https://db1:0",
		"https://db1:99999",
		"https://db1:1/path", "https://db1:1?x=y", "ssh://", "ssh://postgres@", "ssh://postgres:secret@db1",
		// What ssh would take for an option, or a shell for more than a name.
		"ssh://-oProxyCommand=x", "ssh://-l@db1", "ssh://-x@db1", "ssh://a;b", "ssh://$(x)", "ssh://`x`@db1", "ssh://a%20b",
	} {
		if got, err := parseAgent(text); err == nil {
			t.Errorf("%q was taken for %+v", text, got)
		}
	}
}

func TestResolveAgentNeedsNoPgpoolConf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "db1.key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const base = "nodes: [{id: 1, data_directory: /srv/pg/b, bin_directory: /opt/pg}]\n"
	tls := "tls: {ca: /etc/ca.crt, cert: /etc/db1.crt, key: " + key + "}\n"
	l, err := Bytes("repool.yaml",
		[]byte(base+tls+`agent: {node: 1, port: 5433, listen: "10.0.0.11:7411", `+
			`controllers: [pgpool1], when_alone: stop, alone_after: 20s}`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.ResolveAgent()
	if err != nil {
		t.Fatal(err)
	}
	if p.Log.Format != "text" {
		t.Errorf("log format %q, want the default", p.Log.Format)
	}
	n := p.Node(1)
	if len(p.Nodes) != 1 || n == nil || n.DataDir != "/srv/pg/b" || n.Port != 5433 || n.BinDir != "/opt/pg" ||
		n.WorkDir != "/srv/pg/b.repool" || n.Agent.Kind != AgentLocal {
		t.Errorf("node: %+v", p.Nodes)
	}
	if p.Agent.Socket != DefaultAgentSocket || p.Agent.WhenAlone != "stop" || p.Agent.Controllers[0] != "pgpool1" {
		t.Errorf("agent: %+v", p.Agent)
	}
	for name, c := range map[string]struct{ text, want string }{
		"no data directory":     {"agent: {node: 1}", "the data directory is missing"},
		"no section":            {base, "has no agent section"},
		"no node":               {"agent: {port: 1}", "node is missing"},
		"TLS without files":     {base + `agent: {node: 1, listen: "a:1", controllers: [x]}`, "needs the tls section"},
		"TLS without names":     {base + tls + `agent: {node: 1, listen: "a:1"}`, "needs agent.controllers"},
		"half a tls section":    {base + "tls: {ca: /x}", "must all be set"},
		"stop without a time":   {base + "agent: {node: 1, when_alone: stop}", "stop needs alone_after"},
		"an unknown policy":     {base + "agent: {node: 1, when_alone: shoot}", "must be one of keep, stop"},
		"listen without a port": {base + tls + "agent: {node: 1, listen: a, controllers: [x]}", "must be host:port"},
	} {
		l, err := Bytes("repool.yaml", []byte(c.text))
		if err == nil {
			_, err = l.ResolveAgent()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

// A pool whose agents are reached over TLS says so where the files are missing.
func TestResolveWantsCertificatesForTLS(t *testing.T) {
	t.Parallel()
	_, err := loaded(t, twoNodes, `nodes: [{id: 2, agent: "https://db2:7411"}]`).Resolve()
	if err == nil || !strings.Contains(err.Error(), "no tls section") {
		t.Errorf("got %v", err)
	}
}
