package setup

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/config"
)

// repool's block in a pg_hba.conf.
const (
	hbaBegin = "# repool: begin (made by repool setup)"
	hbaEnd   = "# repool: end"
)

// hba lets repool and the standbys connect to every node, from every other node and
// from here.
func (m *maker) hba(context.Context) error {
	for i := range m.facts.Nodes {
		n := &m.facts.Nodes[i]
		if n.HBA == nil {
			continue
		}
		lines := m.missingRules(n)
		if len(lines) == 0 {
			continue
		}
		if err := m.hbaItem(n, lines); err != nil {
			return err
		}
	}
	m.handled["hba"] = true
	return nil
}

// missingRules are the lines that a node's pg_hba.conf lacks.
func (m *maker) missingRules(n *check.NodeFacts) []string {
	var sources []netip.Addr
	for i := range m.facts.Nodes {
		if other := &m.facts.Nodes[i]; other != n {
			sources = append(sources, other.Sources(n)...)
		}
	}
	sources = append(sources, here(n.Conf)...)
	var lines []string
	d, s := m.facts.Pool.Database, m.facts.Pool.Replication
	for _, from := range sources {
		for _, c := range check.HBAConns(d.User, d.DBName, s.User) {
			c.From, c.SSL = from, n.SQL.Settings["ssl"] == "on"
			if rule, ok := check.MatchHBA(n.HBA, c); ok && !rule.Refuses() {
				continue
			}
			if line := check.HBALine(c, m.hbaMethod(c.User)); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// hbaMethod is scram-sha-256, or md5 for a role whose password is stored that way
// (md5 accepts both).
func (m *maker) hbaMethod(user string) string {
	if m.md5[user] {
		return "md5"
	}
	return "scram-sha-256"
}

// here is the address of connections from this machine to a node. Nothing is sent: a
// UDP socket only looks up the route.
func here(n config.NodeConf) []netip.Addr {
	if n.Host == "" || filepath.IsAbs(n.Host) {
		return []netip.Addr{{}}
	}
	c, err := net.Dial("udp", net.JoinHostPort(n.Host, strconv.Itoa(n.Port)))
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	addr, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return nil
	}
	return []netip.Addr{addr.Addr().Unmap()}
}

// hbaItem edits a file on this machine, or says what to do on another.
func (m *maker) hbaItem(n *check.NodeFacts, lines []string) error {
	path := n.SQL.Settings["hba_file"]
	if path == "" && len(n.HBA) > 0 {
		path = n.HBA[0].File
	}
	conn := m.admin[n.Conf.ID]
	_, err := os.Stat(path)
	if n.Conf.Agent.Kind != config.AgentLocal || err != nil || conn == nil {
		m.add(Item{ID: "hba", Subject: n.Subject(),
			What: "put these lines before the first rule of its pg_hba.conf, then SELECT pg_reload_conf()", File: path,
			Lines: plus(strings.Join(lines, "\n")), Manual: true})
		return nil
	}
	e, err := m.file(path, 0o600)
	if err != nil {
		return err
	}
	e.after = withBlock(e.after, lines)
	m.add(Item{ID: "hba", Subject: n.Subject(), What: "let repool and the standbys connect from every node", File: path,
		Lines: plus(strings.Join(lines, "\n")), SQL: []string{"SELECT pg_reload_conf()"},
		do: func(ctx context.Context, i *Item) (err error) {
			if err = m.write(i, e); err != nil {
				return err
			}
			var bad string
			err = conn.QueryRow(ctx,
				`SELECT coalesce(string_agg('line ' || line_number || ': ' || error, '; '), '')
					FROM pg_hba_file_rules WHERE error IS NOT NULL`).Scan(&bad)
			if err != nil {
				return err
			}
			if bad != "" {
				return fmt.Errorf("%s has errors, so it was not reloaded: %s", path, bad)
			}
			_, err = conn.Exec(ctx, "SELECT pg_reload_conf()")
			return err
		}})
	return nil
}

// withBlock puts lines into repool's block, before the first rule: the first matching
// rule decides.
func withBlock(text string, lines []string) string {
	ours := strings.Join(lines, "\n") + "\n"
	at, first, inBlock := 0, -1, false
	for l := range strings.Lines(text) {
		t := strings.TrimSpace(l)
		switch {
		case inBlock && t == hbaEnd:
			return text[:at] + ours + text[at:]
		case t == hbaBegin:
			inBlock = true
		case first < 0 && t != "" && !strings.HasPrefix(t, "#"):
			first = at
		}
		at += len(l)
	}
	block := hbaBegin + "\n" + ours + hbaEnd + "\n"
	if first >= 0 {
		return text[:first] + block + text[first:]
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + block
}
