package pgdata

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/node/postgres"
)

// TestMain makes the test process the heir of the servers that pg_ctl leaves
// behind: in a container process 1 may not wait for them.
func TestMain(m *testing.M) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// cluster is a real PostgreSQL cluster for a test. It listens on a socket in
// its own folder only, so that its port disturbs nobody.
type cluster struct {
	t    testing.TB
	bin  string
	home string // holds data, log and socket
	data string
}

// serverBin finds the newest installed PostgreSQL.
func serverBin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatalf("PostgreSQL's programs are needed for this test (Debian: postgresql-15): %v", err)
	}
	return filepath.Dir(path)
}

// newCluster makes a cluster by initdb with the given further options.
func newCluster(t testing.TB, opts ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, bin: serverBin(t), home: serverDir(t)}
	c.data = filepath.Join(c.home, "data")
	c.run("initdb", append([]string{"-D", c.data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions",
		"-E", "UTF8", "--locale=C"}, opts...)...)
	c.config("fsync = off\nautovacuum = off\nlisten_addresses = ''\nunix_socket_directories = '" + c.home +
		"'\nmax_wal_size = 1GB\nshared_buffers = 16MB\nwal_keep_size = 500MB\nwal_retrieve_retry_interval = 100ms\n")
	t.Cleanup(c.kill)
	return c
}

// serverDir makes a folder that the server's user owns and can reach.
func serverDir(t testing.TB) string {
	t.Helper()
	home, err := os.MkdirTemp("", "pgdata-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if os.Geteuid() == 0 {
		cred := serverUser(t)
		if err := os.Chown(home, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// serverUser is the user postgres: PostgreSQL refuses to run as root.
func serverUser(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("this test runs as root and needs the user postgres: %v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// copyOf copies the files of a stopped cluster, as a cold base backup.
func (c *cluster) copyOf() *cluster {
	c.t.Helper()
	n := &cluster{t: c.t, bin: c.bin, home: serverDir(c.t)}
	n.data = filepath.Join(n.home, "data")
	n.exec("cp", "-a", c.data, n.data)
	n.config("unix_socket_directories = '" + n.home + "'\n")
	c.t.Cleanup(n.kill)
	return n
}

// config appends to postgresql.conf.
func (c *cluster) config(text string) {
	c.t.Helper()
	path := filepath.Join(c.data, "postgresql.conf")
	old, err := os.ReadFile(path)
	if err == nil {
		err = ReplaceFile(path, append(old, text...))
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// command prepares a program under the server's user with English messages.
func (c *cluster) command(program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	c.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	cmd.Dir = c.home
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: serverUser(c.t)}
	}
	return cmd
}

// run runs a program of PostgreSQL and returns what it printed.
func (c *cluster) run(program string, args ...string) string {
	c.t.Helper()
	return c.exec(filepath.Join(c.bin, program), args...)
}

func (c *cluster) exec(program string, args ...string) string {
	c.t.Helper()
	out, err := c.command(program, args...).CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(c.home, "log"))
		c.t.Fatalf("%s %v: %v\n%s\n%s", program, args, err, out, log)
	}
	return string(out)
}

func (c *cluster) start() {
	c.t.Helper()
	c.run("pg_ctl", "-w", "-s", "-D", c.data, "-l", filepath.Join(c.home, "log"), "start")
}

// crash kills the postmaster by SIGKILL and waits until its children are gone.
func (c *cluster) crash() {
	c.t.Helper()
	p, alive, err := PostmasterAlive(c.data)
	if err != nil || !alive {
		c.t.Fatalf("no server to kill: %v", err)
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	// Until somebody waits for it, its PID stands for a running server to the
	// next one. pg_ctl leaves it to the nearest subreaper: this process.
	if _, err := syscall.Wait4(p.PID, nil, 0, nil); err != nil {
		c.t.Fatalf("wait for the killed server: %v", err)
	}
	eventually(c.t, "the server's processes are gone", func() bool {
		left, err := ServerProcesses(c.data)
		return err == nil && len(left) == 0
	})
}

// kill ends whatever of the cluster is left when the test is over.
func (c *cluster) kill() {
	left, _ := ServerProcesses(c.data)
	for _, p := range left {
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
}

// sql runs statements in one session and returns the rows of output.
func (c *cluster) sql(text string) string {
	c.t.Helper()
	return strings.TrimSpace(c.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", c.home, "-U", "postgres", "-d",
		"postgres", "-c", text))
}

// script is sql with each line a transaction of its own.
func (c *cluster) script(lines ...string) {
	c.t.Helper()
	args := []string{"-XAtq", "-v", "ON_ERROR_STOP=1", "-h", c.home, "-U", "postgres", "-d", "postgres"}
	for _, l := range lines {
		args = append(args, "-c", l)
	}
	c.run("psql", args...)
}

// follow makes the cluster a standby of up.
func (c *cluster) follow(up *cluster) {
	c.t.Helper()
	c.config("primary_conninfo = " + QuoteConf(postgres.Login{User: "postgres"}.ConnInfo(up.home, 0).String()) + "\n")
	if err := ReplaceFile(filepath.Join(c.data, "standby.signal"), nil); err != nil {
		c.t.Fatal(err)
	}
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// mustParse turns "key: value" output into a map.
func keyValues(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			m[k] = strings.TrimSpace(v)
		}
	}
	return m
}

// want fails the test unless got prints as want.
func want(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
