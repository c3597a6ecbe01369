package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// undoNode is what one node says to the administrator.
type undoNode struct {
	facts *check.NodeFacts
	conn  *pgx.Conn // nil: it could not be reached

	inRecovery, receives bool
	dataDir              string
	slotName             string // primary_slot_name
	upstream             postgres.ConnInfo
	// ownFile are the settings of standbys in postgresql.auto.conf.
	ownFile map[string]string
	slots   []undoSlot
}

// undoSlot is one of repool's slots on a node.
type undoSlot struct {
	name   string
	active bool
	by     string // who streams through it
}

// lookAtNodes asks every node, and finds out what of repool's they use.
func (u *undoer) lookAtNodes(ctx context.Context) error {
	names := []string{}
	for i := range u.facts.Nodes {
		names = append(names, u.facts.Nodes[i].Conf.Slot)
	}
	for i := range u.facts.Nodes {
		n := undoNode{facts: &u.facts.Nodes[i]}
		n.conn = u.admin[n.facts.Conf.ID]
		if n.conn != nil {
			if err := n.look(ctx, names); err != nil {
				return fmt.Errorf("look at %s: %w", n.facts.Subject(), err)
			}
		}
		if why := u.uses(&n, names); why != "" {
			u.inUse = append(u.inUse, why)
		}
		u.nodes = append(u.nodes, n)
	}
	return nil
}

func (n *undoNode) look(ctx context.Context, names []string) error {
	var conninfo string
	if err := n.conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('primary_slot_name'),
	       current_setting('primary_conninfo'),
	       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), current_setting('data_directory')`).
		Scan(&n.inRecovery, &n.slotName, &conninfo, &n.receives, &n.dataDir); err != nil {
		return err
	}
	var err error
	if n.upstream, err = postgres.ParseConnInfo(conninfo); err != nil {
		n.upstream = nil // it cannot be repool's
	}
	n.ownFile = map[string]string{}
	rows, err := n.conn.Query(ctx, `SELECT name, coalesce(setting, '') FROM pg_file_settings
	       WHERE sourcefile = current_setting('data_directory') || '/postgresql.auto.conf'
	       AND name IN ('primary_conninfo', 'primary_slot_name', 'recovery_target_timeline')`)
	if err != nil {
		return err
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		n.ownFile[name] = value
		return nil
	}); err != nil {
		return err
	}
	rows, err = n.conn.Query(ctx, `SELECT slot_name, active, coalesce('process ' || active_pid || ', ' ||
	         coalesce(application_name, '') || ' from ' || coalesce(host(client_addr), 'a socket'), '')
	       FROM pg_replication_slots LEFT JOIN pg_stat_replication ON pid = active_pid
	       WHERE slot_type = 'physical' AND slot_name = ANY($1) ORDER BY slot_name`, names)
	if err != nil {
		return err
	}
	var s undoSlot
	_, err = pgx.ForEachRow(rows, []any{&s.name, &s.active, &s.by}, func() error {
		n.slots = append(n.slots, s)
		return nil
	})
	return err
}

// uses says what of repool's a standby needs to go on streaming; empty: nothing. A node that does not answer may need
// it.
func (u *undoer) uses(n *undoNode, slots []string) string {
	switch {
	case n.conn == nil:
		return n.facts.Subject() + " could not be asked as " + u.o.AdminUser
	case !n.inRecovery:
		return ""
	case slices.Contains(slots, n.slotName):
		return n.facts.Subject() + " streams through slot " + n.slotName
	}
	user, _ := n.upstream.Get("user")
	for _, e := range u.record.Entries {
		if e.SQL != nil && e.SQL.Created && e.SQL.Role == user {
			return n.facts.Subject() + " streams as role " + user
		}
	}
	return ""
}

// primarySettings takes repool's settings out of the primary's own postgresql.auto.conf, where they were written while
// it was a standby. On standbys they are in use.
func (u *undoer) primarySettings(context.Context) error {
	for i := range u.nodes {
		n := &u.nodes[i]
		if n.conn == nil || !u.byRepool(n) {
			continue
		}
		if n.inRecovery {
			u.keep("standby-settings", n.facts.Subject(),
				"it streams by settings that repool wrote: give it your own, then run setup --undo again",
				"on "+n.facts.Subject()+": ALTER SYSTEM SET primary_conninfo = '…'; "+
					"ALTER SYSTEM SET primary_slot_name = '…'; SELECT pg_reload_conf()")
			continue
		}
		var sql, show []string
		for _, name := range []string{"primary_conninfo", "primary_slot_name", "recovery_target_timeline"} {
			value, set := n.ownFile[name]
			if !set || name == "recovery_target_timeline" && value != "latest" {
				continue
			}
			if name == "primary_conninfo" {
				if info, err := postgres.ParseConnInfo(value); err == nil {
					value = info.Without("password", "sslpassword").String()
				}
			}
			sql = append(sql, "ALTER SYSTEM RESET "+name)
			show = append(show, fmt.Sprintf("- %s = '%s'", name, value))
		}
		sql = append(sql, "SELECT pg_reload_conf()")
		u.add(Item{ID: "primary-settings", Subject: n.facts.Subject(), File: "postgresql.auto.conf", Lines: show,
			SQL: sql, What: "take out what repool wrote while the node was a standby; a primary does not use it",
			do: func(ctx context.Context, _ *Item) error { return run(ctx, n.conn, sql) }})
	}
	return nil
}

// byRepool says whether repool wrote the node's settings: they name the slot that is the node's own, or, where slots
// are not used, the passfile and role from repool.yaml.
func (u *undoer) byRepool(n *undoNode) bool {
	if slot := n.ownFile["primary_slot_name"]; slot != "" {
		return slot == n.facts.Conf.Slot
	}
	info, err := postgres.ParseConnInfo(n.ownFile["primary_conninfo"])
	if err != nil {
		return false
	}
	user, _ := info.Get("user")
	passfile, _ := info.Get("passfile")
	r := u.facts.Pool.Replication
	return user == r.User && passfile == r.Passfile && passfile != ""
}

// dropSlots drops repool's slots that nobody needs, on every node.
func (u *undoer) dropSlots(context.Context) error {
	for i := range u.nodes {
		n := &u.nodes[i]
		var sql, show []string
		for _, s := range n.slots {
			if why := u.needed(s); why != "" {
				u.keep("slot", n.facts.Subject(), fmt.Sprintf("slot %s stays: %s", s.name, why),
					"give that standby another primary_slot_name, then run setup --undo again")
				continue
			}
			sql = append(sql, "SELECT pg_drop_replication_slot("+quoteLiteral(s.name)+")")
			show = append(show, "- slot "+s.name+" (nobody streams through it; it holds WAL)")
		}
		if len(sql) == 0 {
			continue
		}
		u.add(Item{ID: "slot", Subject: n.facts.Subject(), What: "drop the slots that repool created here", Lines: show,
			SQL: sql, do: func(ctx context.Context, _ *Item) error { return run(ctx, n.conn, sql) }})
	}
	return nil
}

// needed says why a slot must stay; empty: nobody will ask for it.
func (u *undoer) needed(s undoSlot) string {
	if s.active {
		return "in use by " + s.by
	}
	for i := range u.nodes {
		n := &u.nodes[i]
		switch {
		case n.facts.Conf.Slot != s.name && n.slotName != s.name:
		case n.conn == nil:
			return n.facts.Subject() + ", whose slot it is, could not be asked"
		case n.inRecovery && n.slotName == s.name && !n.receives:
			return n.facts.Subject() + " has it as primary_slot_name and streams from nobody now"
		}
	}
	return ""
}

// roles drops what setup created in the database.
func (u *undoer) roles(context.Context) error {
	for _, e := range u.entries("database-role", "recovery-extension") {
		if e.SQL == nil {
			continue
		}
		if e.SQL.Created && len(u.inUse) > 0 {
			u.keep(e.ID, "pool", fmt.Sprintf("role %s stays: %s", e.SQL.Role, strings.Join(u.inUse, "; ")))
			continue
		}
		if e.SQL.Lost != "" {
			u.keep(e.ID, "pool", e.SQL.Lost)
		}
		p := u.facts.Primary()
		if p == nil || u.admin[p.Conf.ID] == nil {
			u.keep(e.ID, "pool", "no primary was reached as "+u.o.AdminUser, strings.Join(e.SQL.Undo, "; ")+
				"   -- in database "+e.SQL.DB)
			continue
		}
		u.add(Item{ID: e.ID, Subject: p.Subject(), What: "take back what setup created in database " + e.SQL.DB,
			SQL: e.SQL.Undo, do: func(ctx context.Context, _ *Item) error { return u.undoSQL(ctx, p, e) }})
	}
	return nil
}

// undoSQL runs the statements of one entry, unless they are about a role that is gone.
func (u *undoer) undoSQL(ctx context.Context, p *check.NodeFacts, e *entry) error {
	if err := u.checkedBy(ctx, e.SQL); err != nil {
		return err
	}
	conn, err := u.dial(ctx, p.Conf, e.SQL.DB)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	there := true
	if e.SQL.Role != "" {
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", e.SQL.Role).Scan(&there)
		if err != nil {
			return err
		}
	}
	if there {
		if err := run(ctx, conn, e.SQL.Undo); err != nil {
			return err
		}
	}
	return u.drop([]*entry{e})
}

// checkedBy refuses to drop a role with which Pgpool-II's checks log in: it would detach every node.
func (u *undoer) checkedBy(ctx context.Context, c *sqlChange) error {
	if !c.Created {
		return nil
	}
	file, err := pgpoolconf.Load(u.facts.Pool.PgpoolConf)
	if err != nil {
		return err
	}
	names := []string{"health_check_user", "sr_check_user"}
	for i := range u.facts.Nodes {
		names = append(names, fmt.Sprintf("health_check_user%s", u.facts.Nodes[i].Conf.ID))
	}
	var running map[string]string
	if conf, err := u.facts.Pool.PCP.Config(); err == nil {
		if running, err = runningSettings(ctx, conf); err != nil {
			running = nil // it does not run, or nobody of ours can ask any more
		}
	}
	for _, name := range names {
		if have, _ := file.Lookup(name); have.Value == c.Role {
			return fmt.Errorf("%s is still %s in pgpool.conf: name another role there, and reload Pgpool-II", name,
				c.Role)
		}
		if running[name] == c.Role {
			return fmt.Errorf("Pgpool-II still runs with %s = %s: restart it", name, c.Role)
		}
	}
	return nil
}

// run runs statements one after another.
func run(ctx context.Context, conn *pgx.Conn, sql []string) error {
	for _, s := range sql {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
