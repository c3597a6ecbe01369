package dbhost

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// pgCtl starts the node's server as a person would.
func (n *node) pgCtl(env []string, args ...string) {
	n.t.Helper()
	bin, err := n.binDir()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "pg_ctl"), append([]string{"start", "-D", n.dir, "-w", "-s", "-l",
		filepath.Join(filepath.Dir(n.dir), "by_hand.log")}, args...)...)
	cmd.Env = append(cmd.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
	if _, err := n.Inspect(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// Hazard 62: a server is started again with the options that it had on its command
// line, also after an isolated recovery has written others into its directory, and
// after a copy has brought a directory without any.
func TestServerKeepsTheOptionsOfItsCommandLine(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	port := strconv.Itoa(freePort(t))
	want := func(when string) {
		t.Helper()
		for name, value := range map[string]string{"port": port, "work_mem": "7MB",
			"cluster_name": "it's $HOME \\ here", "primary_conninfo": "", "data_directory": n.dir} {
			if got := n.query("SHOW " + name); got != value {
				t.Errorf("%s: %s is %q, want %q", when, name, got, value)
			}
		}
	}
	n.pgCtl(nil, "-o", "-p "+port+` -c work_mem=7MB -c primary_conninfo='host=gone' `+
		`--cluster-name='it'\''s $HOME \ here'`)
	n.crash()
	n.start()
	want("after a crash")
	n.crash()
	n.move(resync.Home, resync.InRepair)
	if err := n.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.move(resync.InRepair, resync.Home)
	n.start()
	want("after an isolated recovery")
	n.crash()
	if err := n.SaveConfig(resync.Home); err != nil {
		t.Fatal(err)
	}
	n.move(resync.Home, resync.InRepair)
	n.move(resync.InRepair, resync.New)
	if err := exec.Command("rm", filepath.Join(n.path(resync.New), optsFile)).Run(); err != nil {
		t.Fatal(err)
	}
	n.move(resync.New, resync.Home)
	n.start()
	want("after a copy")
	in, err := n.Inspect(t.Context())
	if err != nil || strconv.Itoa(in.Port) != port || in.SocketDir == "" || in.ListenAddr == "" {
		t.Errorf("seen at port %d, %q, %q, %v", in.Port, in.SocketDir, in.ListenAddr, err)
	}
}

// A port that came from the environment is kept, one in the configuration wins.
func TestServerKeepsThePortOfItsEnvironment(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	conf := filepath.Join(n.dir, "postgresql.conf")
	writeFile(t, conf, strings.ReplaceAll(readFile(t, conf), "\nport = ", "\n#port = "))
	port := strconv.Itoa(n.port)
	n.pgCtl([]string{"PGPORT=" + port})
	for range 2 {
		n.crash()
		n.start()
		if got := n.query("SHOW port"); got != port {
			t.Errorf("port %s, want %s", got, port)
		}
	}
	n.crash()
	other := strconv.Itoa(freePort(t))
	appendFile(t, conf, "port = "+other+"\n")
	n.start()
	if got := n.query("SHOW port"); got != other {
		t.Errorf("port %s, want %s", got, other)
	}
}

func TestOptionsOfACommandLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, kept string }{
		"pg_ctl":       {`/usr/lib/postgresql/15/bin/postgres "-D" "/data"`, ""},
		"a port":       {`/pg/postgres "-D" "/data" "-p" "5433"`, "-p 5433"},
		"Debian":       {`/pg/postgres "-D" "/data" "-c" "config_file=/etc/x.conf"`, "-c config_file=/etc/x.conf"},
		"long options": {`/pg/postgres "--data-directory=/data" "--work-mem=1MB"`, "--work-mem=1MB"},
		"its own upstream": {`/pg/postgres "-c" "recovery_target=immediate" "-cprimary_slot_name=x" "-i" "-N" "20"`,
			"-i -N 20"},
		"blanks":    {`/pg/postgres "-D" "/my data" "-c" "cluster_name=a b"`, "-c cluster_name=a b"},
		"cut short": {`/pg/postgres "-D" "/da`, ""},
		"empty":     {``, ""},
	} {
		kept, _ := keepOptions(parseOpts(c.line+"\n"), ourSettings)
		if got := strings.Join(kept, " "); got != c.kept {
			t.Errorf("%s: %q, want %q", name, got, c.kept)
		}
	}
	if _, port := keepOptions([]string{"-c", "port=5433"}, ourSettings); !port {
		t.Error("-c port is no port")
	}
	if got := quoteOptions([]string{"-c", "a='b $c"}); got != `'-c' 'a='\''b $c'` {
		t.Error(got)
	}
	if !slices.Contains(ourSettings, "recovery_target_lsn") {
		t.Error("a standby could not follow")
	}
}

// A server whose directory was deleted under it is killed without a lock file that
// tells of it: what it leaves beside its socket does not stop the next one, although
// nobody has waited for the dead process yet.
func TestServerStartsAfterAnOrphan(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	bin, err := n.binDir()
	if err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command(filepath.Join(bin, "postgres"), "-D", n.dir)
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = orphan.Wait() }) // only now: until then it is a zombie
	n.until("the server does not run", func() bool {
		in, err := n.Inspect(t.Context())
		return err == nil && in.Server == topology.ServerRunning && n.accepts(t.Context())
	})
	if _, err := n.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	copyDir(t, template.get(t), n.path(resync.New))
	conf := readFile(t, filepath.Join(n.dir, "postgresql.conf"))
	writeFile(t, filepath.Join(n.path(resync.New), "postgresql.conf"), conf)
	if err := os.RemoveAll(n.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := n.StopServer(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	n.move(resync.New, resync.Home)
	n.start()
}
