package hook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

const pgBin = "/usr/lib/postgresql/15/bin"

// server is a real PostgreSQL of a test.
type server struct {
	t    *testing.T
	dir  string
	port int
}

// cluster holds the servers by node id, and the means to ask them.
type cluster struct {
	t       *testing.T
	root    string
	cred    *syscall.Credential
	servers []*server
	pool    *config.Pool
}

// newCluster makes a primary and standbys, each streaming from it.
func newCluster(t *testing.T, standbys int) *cluster {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "repool-hook-")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, root: root, pool: &config.Pool{Controller: config.Controller{StateDir: t.TempDir()}}}
	c.pool.Database = postgres.Login{User: "postgres", DBName: "postgres"}
	t.Cleanup(c.close)
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		c.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(root, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	p := c.add()
	c.run("initdb", "-D", p.dir, "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8")
	p.configure("fsync = off", "shared_buffers = 16MB", "max_wal_senders = 10", "max_replication_slots = 10",
		"wal_keep_size = 64MB")
	c.start(p)
	for range standbys {
		s := c.add()
		c.run("pg_basebackup", "-h", root, "-p", strconv.Itoa(p.port), "-U", "postgres", "-D", s.dir, "-R", "-c", "fast",
			"--no-sync")
		s.configure()
		c.start(s)
	}
	return c
}

func (c *cluster) add() *server {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		c.t.Fatal(err)
	}
	id := topology.NodeID(len(c.servers))
	s := &server{t: c.t, dir: filepath.Join(c.root, fmt.Sprintf("node%d", id)), port: port}
	c.servers = append(c.servers, s)
	c.pool.Nodes = append(c.pool.Nodes, config.NodeConf{ID: id, Host: c.root, Port: port, DataDir: s.dir,
		Slot: topology.SlotName(id)})
	return s
}

// configure appends to a server's settings, in its data directory.
func (s *server) configure(lines ...string) {
	s.t.Helper()
	lines = append(lines, "port = "+strconv.Itoa(s.port), "listen_addresses = ''",
		"unix_socket_directories = '"+filepath.Dir(s.dir)+"'")
	f, err := os.OpenFile(filepath.Join(s.dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (c *cluster) start(s *server) {
	c.t.Helper()
	c.run("pg_ctl", "start", "-w", "-D", s.dir, "-l", s.dir+".log", "-o", "-c log_line_prefix=%m[%p]")
}

// run starts one of PostgreSQL's programs. Its output goes to a file: a server
// that it starts would keep a pipe open.
func (c *cluster) run(program string, args ...string) {
	c.t.Helper()
	out, err := os.CreateTemp(c.t.TempDir(), program)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(filepath.Join(pgBin, program), args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin", "HOME=" + c.root}
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.root, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		c.t.Fatalf("%s %v: %v\n%s", program, args, err, text)
	}
}

// kill ends a server as a power cut would.
func (c *cluster) kill(id topology.NodeID) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.servers[id].dir, "postmaster.pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.until("connections to be refused", func() bool {
		_, err := c.dial(id)
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
	})
}

func (c *cluster) dial(id topology.NodeID) (Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return DialSQL(c.pool)(ctx, id)
}

// close stops every server that is left and removes all there is.
func (c *cluster) close() {
	for _, s := range c.servers {
		text, err := os.ReadFile(filepath.Join(s.dir, "postmaster.pid"))
		line, _, _ := strings.Cut(string(text), "\n")
		if pid, perr := strconv.Atoi(line); err == nil && perr == nil {
			_ = syscall.Kill(pid, syscall.SIGQUIT) // gone already where it was killed
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for os.RemoveAll(c.root) != nil && time.Now().Before(deadline) {
		<-time.After(20 * time.Millisecond) // a server on its way out still writes
	}
}

// text asks a node for one value.
func (c *cluster) text(id topology.NodeID, sql string) string {
	c.t.Helper()
	s, err := c.dial(id)
	if err != nil {
		c.t.Fatalf("node %s: %v", id, err)
	}
	defer s.Close()
	results, err := s.(*sqlServer).conn.PgConn().Exec(c.t.Context(), sql).ReadAll()
	if err != nil {
		c.t.Fatalf("node %s: %s: %v", id, sql, err)
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return ""
	}
	return string(results[0].Rows[0][0])
}

// until polls for something that a server does in its own time.
func (c *cluster) until(what string, done func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (c *cluster) facts(id topology.NodeID) Facts {
	c.t.Helper()
	s, err := c.dial(id)
	if err != nil {
		c.t.Fatal(err)
	}
	defer s.Close()
	f, err := s.Facts(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

// follow points a standby at another upstream; an id below 0 cuts it off.
func (c *cluster) follow(id, upstream topology.NodeID) {
	c.t.Helper()
	info := ""
	if upstream >= 0 {
		info = fmt.Sprintf("host=%s port=%d user=postgres", c.root, c.servers[upstream].port)
	}
	c.text(id, fmt.Sprintf("ALTER SYSTEM SET primary_conninfo = '%s'", info))
	c.text(id, "SELECT pg_reload_conf()")
	c.until("the WAL receiver", func() bool {
		n := c.text(id, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		return (n == "1") == (upstream >= 0)
	})
}

// level waits until a standby has all that the primary had when asked.
func (c *cluster) level(id, primary topology.NodeID) {
	c.t.Helper()
	at := c.text(primary, "SELECT pg_current_wal_lsn()")
	c.until("the standby to be level", func() bool {
		return c.text(id, fmt.Sprintf("SELECT coalesce(pg_last_wal_replay_lsn() >= '%s', false)", at)) == "t"
	})
}

// Two failovers in a row on real servers: the most advanced standby is taken,
// whatever Pgpool-II chose, and a standby that had just begun to follow a new
// primary is known to be on its timeline when that one dies, too.
func TestLiveFailovers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	var log strings.Builder
	d := Deps{Pool: c.pool, Dial: DialSQL(c.pool), Out: &log,
		Agent:  func(topology.NodeID) (Fencer, error) { return nil, errors.New("none here") },
		Limits: Limits{Probe: 20 * time.Second}} // a busy machine must not decide who is promoted
	c.text(0, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
	c.text(0, "CREATE ROLE plain LOGIN")
	for _, id := range []topology.NodeID{1, 2, 3} {
		c.level(id, 0)
	}
	c.follow(1, topology.NoNode)
	c.follow(3, topology.NoNode)
	c.text(0, "INSERT INTO t SELECT generate_series(1001, 2000)")
	c.level(2, 0)
	c.kill(0)

	start := time.Now()
	r, err := Failover(t.Context(), d, lost)
	hook := time.Since(start)
	if err != nil || r.Code != CodePromoted || r.Node != 2 {
		t.Fatalf("%+v, %v\n%s", r, err, log.String())
	}
	if n := c.text(2, "SELECT count(*) FROM t"); n != "2000" {
		t.Errorf("%s rows after the failover", n)
	}
	slots := c.text(2, "SELECT string_agg(slot_name, ' ' ORDER BY 1) FROM pg_replication_slots WHERE restart_lsn IS "+
		"NOT NULL")
	if slots != "repool_node0 repool_node1 repool_node3" {
		t.Errorf("slots %q", slots)
	}
	c.until("the checkpoint that nobody waited for", func() bool {
		return c.text(2, "SELECT timeline_id FROM pg_control_checkpoint()") == "2"
	})
	if r, err := Failover(t.Context(), d, lost); err != nil || r.Code != CodeAlreadyPrimary || r.Node != 2 {
		t.Errorf("called again: %+v, %v", r, err)
	}

	c.follow(1, 2)
	c.text(2, "INSERT INTO t SELECT generate_series(2001, 3000)")
	c.level(1, 2)
	c.kill(2)
	c.until("the WAL receiver to be gone", func() bool {
		return c.text(1, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == "0"
	})
	if f := c.facts(1); f.History.TLI != 2 || len(f.History.Ancestors) != 1 {
		t.Errorf("node 1 is on timeline 2, and says %s", f.History.Text())
	}
	if r, err := Failover(t.Context(), d, event012(2, 2, 3)); err != nil || r.Node != 1 {
		t.Fatalf("second failover: %+v, %v\n%s", r, err, log.String())
	}
	if n := c.text(1, "SELECT count(*) FROM t"); n != "3000" {
		t.Errorf("%s rows after the second failover", n)
	}
	if p, err := readPrimary(d.stateDir()); err != nil || p.Node != 1 || len(p.History.Ancestors) != 2 {
		t.Errorf("record %+v, %v", p, err)
	}

	// For comparison, the same on node 3, by hand. It is on no line any more.
	start = time.Now()
	if ok := c.text(3, "SELECT pg_promote(true, 60)"); ok != "t" {
		t.Fatalf("pg_promote: %s", ok)
	}
	bare := time.Since(start)
	t.Logf("hook %s, bare pg_promote %s, overhead %s", hook, bare, hook-bare)
	// The benchmark has the real limit, 300 ms; here other tests run beside.
	if hook > 3*bare+300*time.Millisecond {
		text, err := os.ReadFile(c.servers[2].dir + ".log")
		t.Errorf("the hook takes %s more than pg_promote\n%s\n%s\n%v", hook-bare, log.String(), text, err)
	}
}

// pg_rewind leaves in pg_wal the segments that it had to read, of the line that
// the node was taken from. That may be a higher timeline than the pool's: the
// node is not on it, and its promotion may well come to the same number.
func TestLiveSegmentOfALostLine(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.level(1, 0)
	wal := filepath.Join(c.servers[1].dir, "pg_wal")
	name := c.text(0, "SELECT pg_walfile_name(pg_current_wal_lsn() - 1)")
	segment, err := os.ReadFile(filepath.Join(wal, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(wal, "00000002"+name[8:]), segment, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := c.facts(1); f.History.TLI != 1 {
		t.Errorf("node 1 is on timeline 1, and says %s", f.History.Text())
	}
	c.kill(0)
	d := Deps{Pool: c.pool, Dial: DialSQL(c.pool),
		Agent:  func(topology.NodeID) (Fencer, error) { return nil, errors.New("none here") },
		Limits: Limits{Probe: 20 * time.Second}}
	if r, err := Failover(t.Context(), d, lost); err != nil || r.Code != CodePromoted || r.Node != 1 {
		t.Errorf("node 1 was not promoted: %+v, %v", r, err)
	}
}

// A role without any grant still tells the number of its timeline.
func TestLiveFactsWithFewRights(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.text(0, "CREATE ROLE plain LOGIN")
	c.text(0, "CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
	c.level(1, 0)
	for _, role := range []string{"plain", "monitor", "postgres"} {
		c.pool.Database.User = role
		for id := range topology.NodeID(2) {
			f := c.facts(id)
			if f.InRecovery != (id == 1) || f.History.TLI != 1 || f.SystemID == 0 || f.InRecovery && f.Replay == 0 {
				t.Errorf("%s, node %s: %+v", role, id, f)
			}
		}
		s, err := c.dial(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Promote(t.Context()); (err == nil) != (role == "postgres") || err != nil && !errors.Is(err, ErrNotAsked) {
			t.Errorf("%s: promote: %v", role, err)
		}
		s.Close()
	}
}

func TestLiveSecondStage(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	c.text(0, "CREATE SEQUENCE s")
	segment := c.text(0, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	d := Deps{Pool: c.pool}
	if _, err := Recovery2nd(t.Context(), d, []string{c.servers[0].dir, "x", "/x", strconv.Itoa(c.servers[0].port), "1",
		"5432", c.root}); err != nil {
		t.Fatal(err)
	}
	if v := c.text(0, "SELECT last_value FROM s"); v != "1" {
		t.Errorf("sequence at %s", v)
	}
	if now := c.text(0, "SELECT pg_walfile_name(pg_current_wal_lsn() + 1)"); now == segment {
		t.Errorf("still at segment %s", now)
	}
	if _, err := Recovery2nd(t.Context(), d, []string{"/a", "x", "/x", "1", "1", "5432", c.root}); err == nil {
		t.Error("nobody listens there")
	}
}
