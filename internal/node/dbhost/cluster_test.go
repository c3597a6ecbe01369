package dbhost

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// template is one initialized, never started cluster that all tests copy.
var template templateCluster

type templateCluster struct {
	once sync.Once
	dir  string
	err  error
}

func (c *templateCluster) get(t *testing.T) string {
	t.Helper()
	c.once.Do(func() {
		if c.dir, c.err = os.MkdirTemp("", "template"); c.err != nil {
			return
		}
		bin, err := onlyBinDir(nil)
		if err != nil {
			c.err = err
			return
		}
		cmd := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(c.dir, "data"), "-N", "-A", "trust", "-U",
			"postgres",
			"--no-instructions", "--wal-segsize=1", "--locale=C")
		if out, err := cmd.CombinedOutput(); err != nil {
			c.err = fmt.Errorf("initdb: %w: %s", err, out)
		}
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
	return filepath.Join(c.dir, "data")
}

func (c *templateCluster) remove() { os.RemoveAll(c.dir) }

// node is one throw-away node under test.
type node struct {
	*Host
	t    *testing.T
	id   topology.NodeID
	dir  string
	port int
}

// testConf keeps the small clusters quick, and their checkpoints far apart.
const testConf = `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
fsync = off
wal_log_hints = on
wal_keep_size = 64MB
checkpoint_timeout = 1h
shared_buffers = 2MB
wal_level = replica
logging_collector = off
`

// setup says what kind of node a test wants; the zero value is a plain one.
type setup struct {
	debian bool
	change func(*Options)
}

// newNode copies the template for a node; nothing runs.
func newNode(t *testing.T, id topology.NodeID, s setup) *node {
	t.Helper()
	base := shortTempDir(t)
	dir := filepath.Join(base, "data")
	copyDir(t, template.get(t), dir)
	n := &node{t: t, id: id, dir: dir, port: freePort(t)}
	conf := fmt.Sprintf(testConf, n.port, base)
	if !s.debian {
		appendFile(t, filepath.Join(dir, "postgresql.conf"), conf)
		n.open(s)
		return n
	}
	// Debian's: configuration in <root>/<version>/<cluster>, none beside the data.
	major := strings.TrimSpace(readFile(t, filepath.Join(dir, "PG_VERSION")))
	etc := filepath.Join(base, "etc", major, filepath.Base(base))
	writeFile(t, filepath.Join(etc, "postgresql.conf"), conf+fmt.Sprintf(
		"data_directory = '%s'\nhba_file = '%s/pg_hba.conf'\nident_file = '%s/pg_ident.conf'\nexternal_pid_file = "+
			"'%s/server.pid'\n", dir, etc, etc, base))
	for _, f := range []string{"pg_hba.conf", "pg_ident.conf"} {
		writeFile(t, filepath.Join(etc, f), readFile(t, filepath.Join(dir, f)))
	}
	for _, f := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(base, "server.log"), filepath.Join(etc, "log")); err != nil {
		t.Fatal(err)
	}
	change := s.change
	s.change = func(o *Options) {
		o.Env = map[string]string{"PG_CLUSTER_CONF_ROOT": filepath.Join(base, "etc")}
		if change != nil {
			change(o)
		}
	}
	n.open(s)
	return n
}

// open makes the Host, and stops whatever runs at the end of the test.
func (n *node) open(s setup) {
	n.t.Helper()
	login := postgres.Login{User: "postgres", DBName: "postgres"}
	o := Options{Node: n.id, DataDir: n.dir, Database: login, Replication: login, Port: n.port,
		Log: slog.New(slog.NewTextHandler(n.t.Output(), nil))}
	if s.change != nil {
		s.change(&o)
	}
	h, err := New(o)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Host = h
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := h.StopServer(ctx, true); err != nil {
			n.t.Error(err)
		}
		h.Close()
	})
}

// pair is a running primary with a streaming standby made from the same files.
func pair(t *testing.T, s setup) (primary, standby *node) {
	t.Helper()
	primary, standby = newNode(t, 0, s), newNode(t, 1, s)
	primary.start()
	primary.exec("SELECT pg_create_physical_replication_slot('repool_node1', true)",
		"SELECT pg_create_physical_replication_slot('repool_node0', true)")
	standby.standbyOf(primary)
	standby.start()
	standby.waitStreaming(primary)
	return primary, standby
}

func (n *node) upstream() topology.Upstream {
	n.t.Helper()
	h, err := pgdata.OwnHistory(n.dir)
	if err != nil {
		n.t.Fatal(err)
	}
	c := n.control(resync.Home)
	return topology.Upstream{Node: n.id, Host: "127.0.0.1", Port: n.port, SystemID: c.SystemID, History: h}
}

func (n *node) slot() string { return "repool_node" + strconv.Itoa(int(n.id)) }

func (n *node) standbyOf(p *node) {
	n.t.Helper()
	if err := n.WriteStandby(resync.Home, p.upstream(), n.slot(), n.slot()); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) control(p resync.Place) topology.Control {
	n.t.Helper()
	c, err := n.Control(p)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

func (n *node) start() {
	n.t.Helper()
	if err := n.StartServer(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// crash ends the server without a shutdown checkpoint.
func (n *node) crash() topology.Fenced {
	n.t.Helper()
	f, err := n.StopServer(n.t.Context(), true)
	if err != nil {
		n.t.Fatal(err)
	}
	n.want(topology.ServerStopped)
	return f
}

func (n *node) want(s topology.ServerState) {
	n.t.Helper()
	got, err := n.Server()
	if err != nil || got != s {
		n.t.Fatalf("server is %q (%v), want %q", got, err, s)
	}
}

func (n *node) move(from, to resync.Place) {
	n.t.Helper()
	if err := n.Move(from, to); err != nil {
		n.t.Fatal(err)
	}
}

// connect opens a session over the node's socket folder.
func (n *node) connect() *pgx.Conn {
	n.t.Helper()
	conf, err := n.localConfig()
	if err != nil {
		n.t.Fatal(err)
	}
	c, err := pgx.ConnectConfig(n.t.Context(), conf)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

func (n *node) exec(sql ...string) {
	n.t.Helper()
	c := n.connect()
	defer c.Close(n.t.Context())
	for _, s := range sql {
		if _, err := c.Exec(n.t.Context(), s); err != nil {
			n.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (n *node) query(sql string) string {
	n.t.Helper()
	c := n.connect()
	defer c.Close(n.t.Context())
	var v string
	if err := c.QueryRow(n.t.Context(), sql).Scan(&v); err != nil {
		n.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// promote makes the standby a primary, with its checkpoint unless later.
func (n *node) promote(checkpoint bool) {
	n.t.Helper()
	n.exec("SELECT pg_promote(true, 30)")
	n.exec("SELECT pg_create_physical_replication_slot('repool_node" + strconv.Itoa(1-int(n.id)) + "', true)")
	if checkpoint {
		n.exec("CHECKPOINT")
	}
}

func (n *node) until(what string, cond func() bool) {
	n.t.Helper()
	if err := poll(n.t.Context(), 20*time.Second, func() (bool, error) { return cond(), nil }, what); err != nil {
		n.t.Fatalf("%v\n%s", err, n.LogTail())
	}
}

func (n *node) waitStreaming(p *node) {
	n.t.Helper()
	n.until("the standby does not stream", func() bool {
		f, err := n.Stream(n.t.Context())
		return err == nil && f.InRecovery && f.Receiver.Status == "streaming" && f.Receiver.SenderPort == p.port
	})
}

// caughtUp waits until the standby has flushed all that the primary wrote.
func (n *node) caughtUp(p *node) {
	n.t.Helper()
	want, err := topology.ParseLSN(p.query("SELECT pg_current_wal_flush_lsn()::text"))
	if err != nil {
		n.t.Fatal(err)
	}
	n.until("the standby does not catch up", func() bool {
		f, err := n.Stream(n.t.Context())
		return err == nil && f.Replay >= want
	})
}

// diverged makes a pair in which the old primary is down and holds lost
// transactions that the new primary never got, about one WAL segment each.
func diverged(t *testing.T, lost int, checkpoint bool, s setup) (old, primary *node) {
	t.Helper()
	old, primary = pair(t, s)
	old.exec("CREATE TABLE kept (n int PRIMARY KEY, v text)", "INSERT INTO kept VALUES (0, 'both have it')")
	primary.caughtUp(old)
	if _, err := primary.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for i := range lost {
		old.exec(fmt.Sprintf("INSERT INTO kept SELECT %d + g, repeat('lost', 30) FROM generate_series(1, 4000) g", i*10000))
	}
	old.crash()
	primary.start()
	primary.promote(checkpoint)
	return old, primary
}

func probe(t *testing.T, n, primary *node) topology.WALProbe {
	t.Helper()
	p, err := n.ProbeWAL(t.Context(), primary.upstream().History)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shortTempDir is t.TempDir with a path short enough for a socket in it.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func copyDir(t *testing.T, src, dst string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", src, dst).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", src, err, out)
	}
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	writeFile(t, path, string(b)+text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// wantCode checks the failure's code and that it has something to say.
func wantCode(t *testing.T, err error, code codes.Code, contains ...string) {
	t.Helper()
	e, ok := err.(*resync.Error)
	if !ok || e.Code != code {
		t.Fatalf("got %v (%T), want code %s", err, err, code)
	}
	for _, c := range contains {
		if !strings.Contains(e.Error()+" "+e.Hint, c) {
			t.Errorf("%q (hint %q) does not mention %q", e.Error(), e.Hint, c)
		}
	}
}
