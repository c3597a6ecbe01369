package pcp

import (
	"bytes"
	"context"
	"fmt"
	"net"
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
)

// TestContractLive starts a real PostgreSQL and a real Pgpool-II. It must not be
// skipped: without the programs there is no proof that the fake is right.
func TestContractLive(t *testing.T) {
	t.Parallel()
	contract(t, startLive(t))
}

// livePool is a PostgreSQL and a Pgpool-II in one directory.
type livePool struct {
	dir string
	// owner runs the programs: postgres when the test is root, for PostgreSQL
	// refuses to be; nil means whoever runs the test.
	owner *syscall.Credential
}

func startLive(t *testing.T) contractPool {
	t.Helper()
	initdb, postgres := program(t, "initdb", "postgresql"), program(t, "postgres", "postgresql")
	pgpool := program(t, "pgpool", "pgpool2")
	p := newLivePool(t)
	ports := freePorts(t, 3)

	p.run(t, initdb, "-D", p.path("pg"), "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions")
	p.start(t, "postgres.log", syscall.SIGINT, postgres, "-D", p.path("pg"), "-p", strconv.Itoa(ports[0]),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+p.dir, "-c", "fsync=off")
	until(t, "PostgreSQL is ready", func(context.Context) bool {
		b, _ := os.ReadFile(p.path("pg/postmaster.pid"))
		return bytes.Contains(b, []byte("ready"))
	})

	cfg := Config{Host: "127.0.0.1", Port: ports[2], User: "pooladmin", Password: "it's a secret",
		Timeout: 15 * time.Second}
	p.write(t, "pcp.conf", cfg.User+":"+md5Hex([]byte(cfg.Password))+"\n")
	p.write(t, "pool_hba.conf", "")
	p.write(t, "pgpool.conf", p.poolConf(ports))
	p.start(t, "pgpool.log", syscall.SIGINT, pgpool, "-n",
		"-f", p.path("pgpool.conf"), "-F", p.path("pcp.conf"), "-a", p.path("pool_hba.conf"))
	until(t, "Pgpool-II has checked its node", func(ctx context.Context) bool {
		var h HealthStats
		err := With(ctx, cfg, func(c *Conn) (err error) { h, err = c.HealthStats(ctx, 0); return err })
		return err == nil && h.Success > 0
	})
	socket := cfg
	socket.Host = p.dir
	return contractPool{tcp: cfg, unix: socket, nodePort: ports[0]}
}

func newLivePool(t *testing.T) *livePool {
	t.Helper()
	// Not t.TempDir, into which only its owner may go; short, for the sockets.
	dir, err := os.MkdirTemp("", "pcp")
	if err != nil {
		t.Fatal(err)
	}
	p := &livePool{dir: dir}
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"postgres.log", "pgpool.log"} {
				b, _ := os.ReadFile(p.path(name))
				t.Logf("%s:\n%s", name, b[max(0, len(b)-4000):])
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Getuid() != 0 {
		return p
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("running as root needs the user postgres, whom the package postgresql makes: %v", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("user postgres: %v %v", uidErr, gidErr)
	}
	p.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return p
}

// program finds a program on the path or where Debian keeps it.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	sbin, _ := filepath.Glob("/usr/sbin/" + name)
	if found = append(found, sbin...); len(found) == 0 {
		t.Fatalf("%s is not installed: this test needs a real pool, install the package %s", name, pkg)
	}
	return slices.Max(found)
}

// freePorts asks the system for ports, all at once so that they differ.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (p *livePool) path(name string) string { return filepath.Join(p.dir, name) }

func (p *livePool) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *livePool) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "LC_ALL=C"}
	if zone, set := os.LookupEnv("TZ"); set {
		cmd.Env = append(cmd.Env, "TZ="+zone)
	}
	// A group of its own, so that an interrupt at the terminal reaches the test
	// only, which then stops the servers in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.owner}
	return cmd
}

func (p *livePool) run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := p.command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

// start runs a server until the test's end, then asks it to stop with the signal
// and kills what is left of it.
func (p *livePool) start(t *testing.T, logName string, stop syscall.Signal, name string, args ...string) {
	t.Helper()
	log, err := os.Create(p.path(logName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := p.command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		_ = cmd.Process.Signal(stop)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s did not stop", filepath.Base(name))
			_ = cmd.Process.Kill()
			<-ended
		}
		// Its children are its group; there is none left after an orderly end.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
}

func (p *livePool) poolConf(ports []int) string {
	return strings.Join([]string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("port = %d", ports[1]),
		fmt.Sprintf("socket_dir = '%s'", p.dir),
		"pcp_listen_addresses = '127.0.0.1'",
		fmt.Sprintf("pcp_port = %d", ports[2]),
		fmt.Sprintf("pcp_socket_dir = '%s'", p.dir),
		fmt.Sprintf("logdir = '%s'", p.dir),
		fmt.Sprintf("pid_file_name = '%s/pgpool.pid'", p.dir),
		"backend_hostname0 = '127.0.0.1'",
		fmt.Sprintf("backend_port0 = %d", ports[0]),
		"backend_weight0 = 1",
		fmt.Sprintf("backend_data_directory0 = '%s/pg'", p.dir),
		"num_init_children = 2",
		"max_pool = 1",
		"health_check_period = 1",
		"health_check_user = 'postgres'",
		"sr_check_period = 1",
		"sr_check_user = 'postgres'",
		"search_primary_node_timeout = 5",
		"",
	}, "\n")
}
