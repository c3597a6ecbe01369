package process

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper is a running program whose name has what breaks a careless parser.
func sleeper(t *testing.T, dir string) (*exec.Cmd, Process) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "a) Z 1 (b")
	if err := os.Link("/bin/sleep", program); err != nil {
		text, err := os.ReadFile("/bin/sleep")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "600")
	cmd.Dir = dir
	cmd.Env = []string{"MARK=of the test"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	// The kernel shows the arguments a moment after the program has started.
	return cmd, until(t, cmd.Process.Pid, func(p Process) bool { return len(p.Args()) > 0 })
}

// until waits until the process is as cond wants it.
func until(t *testing.T, pid int, cond func(Process) bool) Process {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		p, err := Read(pid)
		if err != nil {
			t.Fatal(err)
		}
		if cond(p) {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("it stays in state %c", p.State)
		}
		<-tick.C
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, p := sleeper(t, dir)
	const name = "a) Z 1 (b"
	if p.PPID != os.Getpid() || p.Started == 0 || p.Name != name || p.Program() != name || p.Ended() || p.Frozen() {
		t.Errorf("%+v, program %q", p, p.Program())
	}
	if args := p.Args(); len(args) != 2 || args[1] != "600" || !strings.HasSuffix(p.Title(), "b 600") {
		t.Errorf("arguments %q, title %q", args, p.Title())
	}
	if !p.HasEnv("MARK=of the test") || p.HasEnv("MARK=of") || p.Dir() != dir {
		t.Errorf("environment or directory %q", p.Dir())
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := Read(os.Getpid())
	if err != nil || self.Resident == 0 || self.Written() == 0 {
		t.Errorf("this process: %+v, wrote %d, %v", self, self.Written(), err)
	}
	all, err := All()
	if err != nil || !slices.ContainsFunc(all, func(o Process) bool { return o.PID == p.PID && o.Started == p.Started }) {
		t.Errorf("it is not among %d processes: %v", len(all), err)
	}
}

func TestFrozenThenZombieThenGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, p := sleeper(t, dir)
	for _, sig := range []syscall.Signal{unix.SIGSTOP, unix.SIGKILL} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if sig == unix.SIGSTOP {
			until(t, p.PID, Process.Frozen)
		}
	}
	z := until(t, p.PID, Process.Ended)
	if z.Started != p.Started || z.Name != p.Name || z.Program() != "" || z.Title() != "" || z.Dir() != "" {
		t.Errorf("zombie: %+v, program %q, title %q, directory %q", z, z.Program(), z.Title(), z.Dir())
	}
	if in, err := z.WorksIn(dir); in || err != nil {
		t.Errorf("a zombie works in %s: %v, %v", dir, in, err)
	}
	if all, err := All(); err != nil || !slices.ContainsFunc(all, func(o Process) bool { return o.PID == z.PID }) {
		t.Errorf("a zombie is not in the list: %v", err)
	}
	_ = cmd.Wait() // killed
	if _, err := Read(p.PID); !Gone(err) {
		t.Errorf("read after its end: %v", err)
	}
	if in, err := p.WorksIn(dir); in || err != nil {
		t.Errorf("a process that has gone works in %s: %v, %v", dir, in, err)
	}
	if p.Program() != "" || p.HasEnv("MARK=of the test") || p.Written() != 0 {
		t.Errorf("a process that has gone: program %q", p.Program())
	}
}

func TestWorksIn(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir, link := filepath.Join(parent, "data"), filepath.Join(parent, "link")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	_, p := sleeper(t, dir)
	want := func(where string, want bool) {
		t.Helper()
		if got, err := p.WorksIn(where); got != want || err != nil {
			t.Errorf("works in %s: %v, %v", where, got, err)
		}
	}
	want(dir, true)
	want(link, true)
	want(parent, false)
	want(filepath.Join(parent, "missing"), false)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	want(dir, true)
	if p.Dir() != dir {
		t.Errorf("deleted directory: %q", p.Dir())
	}
	if err := os.Mkdir(dir, 0o700); err != nil { // another one of the same name
		t.Fatal(err)
	}
	want(dir, true)
}

// TestAnotherUsersProcess: the list has it, and its directory is not to be seen.
func TestAnotherUsersProcess(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		// Root sees all, so the test runs again as nobody; process 1 is root's.
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestAnotherUsersProcess$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestAnotherUsersProcess") {
			t.Errorf("as nobody: %v\n%s", err, out)
		}
		return
	}
	p, err := Read(1)
	if err != nil || p.Program() != "" || p.Dir() != "" || p.HasEnv("PATH="+os.Getenv("PATH")) {
		t.Fatalf("process 1: %+v, %v", p, err)
	}
	if _, err := p.WorksIn("/"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want a refusal", err)
	}
	if all, err := All(); err != nil || len(all) < 2 {
		t.Errorf("%d processes, %v", len(all), err)
	}
}
