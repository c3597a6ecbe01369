package check

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/config"
)

// hba reads a node's rules from the server if the role may, or else from its file
// if that is on this machine.
func (g *gatherer) hba(ctx context.Context, n *NodeFacts) {
	if n.SQL.OK() {
		rules, err := g.hbaRules(ctx, n.Conf)
		if err == nil {
			n.HBA = resolved(ctx, rules)
			return
		}
		n.HBAErr = err.Error()
	}
	if n.Conf.Agent.Kind != config.AgentLocal {
		return
	}
	rules, err := hbaFile(n)
	if err != nil {
		n.HBAErr = err.Error()
		return
	}
	n.HBA, n.HBAErr = resolved(ctx, rules), ""
}

// hbaRules asks the server, which usually answers only superusers.
func (g *gatherer) hbaRules(ctx context.Context, n config.NodeConf) ([]HBARule, error) {
	conn, err := g.connect(ctx, g.pool.Database, n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // read only
	return ReadHBA(ctx, conn)
}

// ReadHBA reads pg_hba_file_rules, which shows the current file, loaded or not.
func ReadHBA(ctx context.Context, conn *pgx.Conn) ([]HBARule, error) {
	rows, err := conn.Query(ctx, `SELECT current_setting('hba_file'), line_number, type, database, user_name,
	       coalesce(address, ''), coalesce(netmask, ''), auth_method
	  FROM pg_hba_file_rules WHERE error IS NULL ORDER BY line_number`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r HBARule, err error) {
		return r, row.Scan(&r.File, &r.Line, &r.Type, &r.Databases, &r.Users, &r.Address, &r.Mask, &r.Method)
	})
}

func hbaFile(n *NodeFacts) ([]HBARule, error) {
	path := n.SQL.Settings["hba_file"]
	if path == "" {
		path = filepath.Join(n.Conf.DataDir, "pg_hba.conf")
		if n.Conf.ConfigFile != "" {
			path = filepath.Join(filepath.Dir(n.Conf.ConfigFile), "pg_hba.conf")
		}
	}
	path = inDir(n.Conf.DataDir, path)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rules, partial := ParseHBA(path, string(text))
	if partial {
		return nil, errors.New(path + " includes other files")
	}
	return rules, nil
}

// resolved looks up the host names in rules.
func resolved(ctx context.Context, rules []HBARule) []HBARule {
	for i, r := range rules {
		if r.Type == "local" || r.Address == "" || r.Address == "all" || r.Address == "samehost" || r.Address == "samenet" {
			continue
		}
		if _, err := netip.ParsePrefix(r.Address); err == nil {
			continue
		}
		if _, err := netip.ParseAddr(r.Address); err != nil {
			rules[i].Resolved = addresses(ctx, r.Address)
		}
	}
	return rules
}
