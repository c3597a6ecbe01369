package dbhost

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

func TestFrozenServerIsKilledAndNotThawed(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	n.start()
	n.start() // one that runs is only waited for
	pm, _, err := pgdata.PostmasterAlive(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pm.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	n.until("the server is not seen frozen", func() bool {
		s, err := n.Server()
		return err == nil && s == topology.ServerFrozen
	})
	wantCode(t, n.StartServer(t.Context()), codes.ServerRunning)
	wantCode(t, n.Move(resync.Home, resync.InRepair), codes.ServerRunning)
	f, err := n.StopServer(t.Context(), false)
	if err != nil || f.Mode != "kill" || !f.WasRunning {
		t.Fatalf("%+v, %v", f, err)
	}
	n.want(topology.ServerStopped)
	n.start()
	if f, err := n.StopServer(t.Context(), false); err != nil || f.Mode != "fast" {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := n.StopServer(t.Context(), false); err != nil || f.WasRunning {
		t.Errorf("stopping a stopped server: %+v, %v", f, err)
	}
}

// Seen live 8: children outlive a killed postmaster; the directory is in use
// until the last of them is gone.
func TestChildrenOfAKilledPostmasterCount(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	n.start()
	servers, err := pgdata.ServerProcesses(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	pm, _, err := pgdata.PostmasterAlive(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	child := servers[0].PID
	if child == pm.PID {
		child = servers[1].PID
	}
	for _, s := range []struct {
		pid int
		sig unix.Signal
	}{{child, unix.SIGSTOP}, {pm.PID, unix.SIGKILL}} {
		if err := unix.Kill(s.pid, s.sig); err != nil {
			t.Fatal(err)
		}
	}
	n.until("the postmaster does not go", func() bool {
		_, alive, err := pgdata.PostmasterAlive(n.dir)
		return err == nil && !alive
	})
	n.want(topology.ServerStopping)
	wantCode(t, n.Move(resync.Home, resync.InRepair), codes.ServerRunning)
	if _, err := n.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	n.start()
}

func TestFailedStartShowsTheServersLog(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	appendFile(t, filepath.Join(n.dir, "postgresql.conf"), "shared_preload_libraries = 'no_such_library'\n")
	wantCode(t, n.StartServer(t.Context()), codes.ServerConfig, "no_such_library")
}

func TestDebianClusterThatIsDisabledSaysSo(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{debian: true})
	l, err := n.layout()
	if err != nil || !l.debian() {
		t.Fatalf("layout %+v, %v", l, err)
	}
	writeFile(t, filepath.Join(filepath.Dir(l.config), "start.conf"), "disabled\n")
	wantCode(t, n.StartServer(t.Context()), codes.ServerConfig, "disabled")
}

func TestStraysOfADeadAgentAreKilled(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	cmd, err := n.Host.start(program{name: "/bin/sleep", args: []string{"1000"}}, &lineTail{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	next, err := New(n.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.KillLeftovers(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
	if list, err := next.children.List(); err != nil || len(list) != 0 {
		t.Errorf("still recorded: %v, %v", list, err)
	}
}

// A resync_command that starts the server with pg_ctl and does not redirect
// its output ends while the server still holds the pipe: that is no failure.
func TestOwnCommandMayLeaveAServerWithItsOutput(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n"})
	n.o.Custom = func(topology.RunRequest) string { return "sleep 8 & exit 0" }
	if err := n.Custom(t.Context(), topology.RunRequest{}); err != nil {
		t.Error(err)
	}
	n.o.Custom = func(topology.RunRequest) string { return "echo no way >&2; exit 3" }
	wantCode(t, n.Custom(t.Context(), topology.RunRequest{}), codes.CustomFailed)
}
