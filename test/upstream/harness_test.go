package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

// slots bounds how many labs exist at a time, whatever -parallel says.
var slots = make(testpool.Slots, 3)

// pool is a lab without repool, to look at what the others do.
type pool struct{ *testpool.Pool }

func up(t *testing.T, o lab.Options) *pool {
	t.Helper()
	o.Log = t.Output()
	return &pool{testpool.Bare(t, slots, o)}
}

// run is a subtest on the same lab.
func (p *pool) run(name string, f func(*pool)) {
	p.T.Run(name, func(t *testing.T) { f(&pool{&testpool.Pool{Lab: p.Lab, T: t, Ctx: p.Ctx}}) })
}

// fact is one thing that upstream does, and what of repool's rests on it.
type fact struct{ says, rests string }

// changed fails the test: upstream does otherwise now.
func (f fact) changed(t *testing.T, format string, seen ...any) {
	t.Helper()
	t.Errorf("upstream has changed. It was so: %s\n  On this rests: %s\n  Seen now: %s", f.says, f.rests,
		fmt.Sprintf(format, seen...))
}

func (p *pool) value(i int, sql string) string {
	p.T.Helper()
	v, err := p.Value(p.Ctx, i, sql)
	p.Must(err)
	return v
}

// tool runs one of PostgreSQL's programs to its end; what it printed and its exit
// code. Its output goes to a file, since a server that it starts holds a pipe.
func (p *pool) tool(name string, args ...string) (string, int) {
	p.T.Helper()
	log := filepath.Join(p.T.TempDir(), "out")
	out, err := os.Create(log)
	p.Must(err)
	defer out.Close()
	cmd := p.Command(p.Ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.T.Fatalf("%s: %v", name, err)
	}
	text, err := os.ReadFile(log)
	p.Must(err)
	return string(text), cmd.ProcessState.ExitCode()
}

// copied is a data directory that a test may ruin.
type copied struct {
	*pool
	dir  string
	port int
}

// copyOf copies node i's data directory, whose server is down.
func (p *pool) copyOf(i int, name string) *copied {
	p.T.Helper()
	if p.Postmaster(i) != 0 {
		p.T.Fatalf("the server of node %d runs", i)
	}
	c := &copied{p, filepath.Join(p.Nodes[i].Home, name), freePort(p.T)}
	if out, code := p.tool("cp", "-a", p.Nodes[i].DataDir, c.dir); code != 0 {
		p.T.Fatalf("copy: %s", out)
	}
	for _, gone := range []string{"postmaster.pid", "standby.signal"} {
		if err := os.Remove(c.path(gone)); err != nil && !os.IsNotExist(err) {
			p.T.Fatal(err)
		}
	}
	return c
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

func (c *copied) path(name string) string { return filepath.Join(c.dir, name) }

func (c *copied) has(name string) bool {
	_, err := os.Stat(c.path(name))
	return err == nil
}

// standbyOf writes what makes the directory a standby of node i.
func (c *copied) standbyOf(i int) {
	c.T.Helper()
	c.auto("primary_conninfo = 'host=%s port=%d user=repl passfile=%s/.pgpass'\n", c.Nodes[i].Host, c.Nodes[i].Port, c.Dir)
	c.signal()
}

// auto writes postgresql.auto.conf, whose owner stays what it is.
func (c *copied) auto(format string, args ...any) {
	c.T.Helper()
	c.Must(os.WriteFile(c.path("postgresql.auto.conf"), fmt.Appendf(nil, format, args...), 0o600))
}

// signal makes standby.signal as the lab's user.
func (c *copied) signal() {
	c.T.Helper()
	if out, code := c.tool("touch", c.path("standby.signal")); code != 0 {
		c.T.Fatalf("make standby.signal: %s", out)
	}
}

// start starts a server on the copy, on a port of its own; what pg_ctl said, and
// its exit code.
func (c *copied) start(settings ...string) (string, int) {
	c.T.Helper()
	o := fmt.Sprintf("-c port=%d -c logging_collector=off -c listen_addresses= -c unix_socket_directories=%s", c.port,
		c.Sockets)
	for _, s := range settings {
		o += " -c " + s
	}
	return c.tool("pg_ctl", "start", "-w", "-t", "30", "-D", c.dir, "-l", c.dir+".log", "-o", o)
}

// up starts a server that must start.
func (c *copied) up(settings ...string) {
	c.T.Helper()
	if out, code := c.start(settings...); code != 0 {
		c.T.Fatalf("start: %s\n%s", out, c.log())
	}
}

func (c *copied) stop() {
	c.T.Helper()
	if out, code := c.tool("pg_ctl", "stop", "-w", "-m", "fast", "-D", c.dir); code != 0 {
		c.T.Fatalf("stop: %s", out)
	}
}

func (c *copied) log() string {
	text, err := os.ReadFile(c.dir + ".log")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (c *copied) waitLogged(words string) {
	c.T.Helper()
	c.Wait(fmt.Sprintf("%q in the log of %s", words, filepath.Base(c.dir)), func(context.Context) error {
		if !strings.Contains(c.log(), words) {
			return errors.New(c.log())
		}
		return nil
	})
}

// ask asks the copy's server for one value.
func (c *copied) ask(sql string) string {
	c.T.Helper()
	conn, err := pgx.Connect(c.Ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=app sslmode=disable", c.Sockets,
		c.port))
	c.Must(err)
	defer conn.Close(c.Ctx)
	var v string
	c.Must(conn.QueryRow(c.Ctx, "SELECT COALESCE(("+sql+")::text, '')").Scan(&v))
	return v
}

// control is pg_controldata's line with that label.
func (c *copied) control(label string) string { return c.controlOf(c.dir, label) }

func (p *pool) controlOf(dir, label string) string {
	p.T.Helper()
	out, code := p.tool("pg_controldata", "-D", dir)
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(line, label+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	p.T.Fatalf("pg_controldata (%d) has no %q:\n%s", code, label, out)
	return ""
}

func (p *pool) lsn(text string) topology.LSN {
	p.T.Helper()
	l, err := topology.ParseLSN(text)
	p.Must(err)
	return l
}

// rewind runs pg_rewind on the copy, with node i as its source.
func (c *copied) rewind(i int, more ...string) (string, int) {
	c.T.Helper()
	return c.tool("pg_rewind", append([]string{"-D", c.dir, "--source-server", c.ConnString(i)}, more...)...)
}

// settle is the isolated recovery: as a standby of nobody, to the end of its WAL.
func (c *copied) settle() {
	c.T.Helper()
	c.signal()
	c.auto("primary_conninfo = ''\nrecovery_target = 'immediate'\nrecovery_target_action = " +
		"'pause'\nrecovery_target_timeline = 'current'\n")
	c.up()
	c.stop()
}
