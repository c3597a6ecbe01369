package setup

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// connect opens superuser connections to the nodes, where that works, and reads what
// the database role could not see.
func (m *maker) connect(ctx context.Context) {
	for i := range m.facts.Nodes {
		n := &m.facts.Nodes[i]
		m.logins[n.Conf.ID] = n.SQL.LoginResult
		conn, err := m.dial(ctx, n.Conf, m.facts.Pool.Database.DBName)
		if err != nil {
			continue // what it leaves missing becomes a manual item
		}
		m.admin[n.Conf.ID] = conn
		if !n.SQL.OK() {
			n.SQL = check.ReadSQL(ctx, conn, m.facts.Pool.Replication.User)
		}
		if rules, err := check.ReadHBA(ctx, conn); err == nil {
			n.HBA, n.HBAErr = rules, ""
		}
	}
}

func (m *maker) disconnect() {
	for id, conn := range m.admin {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = conn.Close(ctx) // every statement has been answered
		cancel()
		delete(m.admin, id)
	}
}

// dial connects as the administrator: to --admin-host, or else to the socket of a
// node on this machine, or else to its host.
func (m *maker) dial(ctx context.Context, n config.NodeConf, db string) (*pgx.Conn, error) {
	hosts := []string{n.Host}
	if n.Agent.Kind == config.AgentLocal {
		hosts = []string{postgres.SocketHost("", n.Port), n.Host}
	}
	if m.o.AdminHost != "" {
		hosts = []string{m.o.AdminHost}
	}
	var first error
	for _, host := range hosts {
		conn, err := m.dialHost(ctx, host, n.Port, db)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (m *maker) dialHost(ctx context.Context, host string, port int, db string) (*pgx.Conn, error) {
	// A synchronous standby may be what is missing: do not wait for it.
	conf, err := postgres.Login{User: m.o.AdminUser, DBName: db}.Config(host, port, postgres.Session{
		App: "repool setup", Connect: 3 * time.Second, Statement: 15 * time.Second, LocalCommit: true})
	if err != nil {
		return nil, err
	}
	if u, err := user.Lookup(m.o.AdminUser); err == nil && os.Geteuid() == 0 && filepath.IsAbs(conf.Host) {
		if uid, err := strconv.Atoi(u.Uid); err == nil {
			conf.DialFunc = dialAs(uid)
		}
	}
	return postgres.Connect(ctx, conf)
}

// dialAs connects to a unix socket as another user of this system, for root: "peer"
// asks the kernel who called connect. Only one thread changes its user, and it ends
// with the goroutine that is locked to it.
func dialAs(uid int) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread must not be reused
			same := ^uintptr(0)
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
				done <- result{nil, fmt.Errorf("connect as user %d: %w", uid, errno)}
				return
			}
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			done <- result{conn, err}
		}()
		r := <-done
		return r.conn, r.err
	}
}

// primary is the administrator's connection to the one primary, or nil.
func (m *maker) primary() (topology.NodeID, *pgx.Conn) {
	p := m.facts.Primary()
	if p == nil {
		return topology.NoNode, nil
	}
	return p.Conf.ID, m.admin[p.Conf.ID]
}
