package hook

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test binary be the hook's process, as Pgpool-II starts it.
func TestMain(m *testing.M) {
	if os.Getenv("HOOK_CHILD") != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// child prepares itself and tells what it and a child of its own have.
func child() int {
	if err := Prepare(); err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("pgdata", os.Getenv("PGDATA"), os.Getenv("PG_GRANDPARENT_PID"), "passfile", os.Getenv("PGPASSFILE"))
	fmt.Println("lc", os.Getenv("LC_ALL"), "path", os.Getenv("PATH") != "", "home", filepath.IsAbs(os.Getenv("HOME")))
	out, err := exec.Command("/bin/sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; grep SigIgn /proc/self/status").Output()
	fmt.Println("grandchild", strings.TrimSpace(string(out)), err)
	// Standard error is a pipe that nobody reads: this must not kill us.
	fmt.Fprintln(os.Stderr, "into the void")
	fmt.Println("alive")
	return 0
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	// An address of its own: a port of 127.0.0.1 may be taken by another test's
	// connection before it is tried again.
	l, err := net.Listen("tcp", "127.83.12.5:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	void, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := void.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Pgpool-II ignores SIGPIPE, and leaves that to what it starts.
	cmd := exec.Command("/bin/sh", "-c", `trap "" PIPE; exec "$0"`, self)
	cmd.Env = []string{"HOOK_CHILD=1", "PGDATA=/wrong", "PG_GRANDPARENT_PID=1", "PGPASSFILE=/right", "LC_ALL=de_DE"}
	cmd.ExtraFiles = []*os.File{file, file}
	cmd.Stderr = end
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range []*os.File{file, end} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		key, rest, _ := strings.Cut(lines.Text(), " ")
		got[key] = rest
	}
	for key, want := range map[string]string{"pgdata": "  passfile /right", "lc": "C path true home true"} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
	if _, ok := got["alive"]; !ok {
		t.Errorf("did not survive a broken pipe:\n%s", out)
	}
	// ls itself has 0, 1, 2 and the directory it reads.
	if fds := strings.Fields(got["grandchild"]); len(fds) < 4 || !slices.Equal(fds[:4], []string{"0", "1", "2", "3"}) ||
		fds[4] != "SigIgn:" {
		t.Errorf("descriptors of a child's child: %q", got["grandchild"])
	}
	var ignored uint64
	if _, err := fmt.Sscanf(got["grandchild"], "0 1 2 3 SigIgn: %x", &ignored); err != nil ||
		ignored&(1<<(syscall.SIGPIPE-1)) != 0 {
		t.Errorf("signals ignored by a child's child: %x, %v", ignored, err)
	}
	if again, err := net.Listen("tcp", addr); err != nil {
		t.Errorf("the port is still held: %v", err)
	} else if err := again.Close(); err != nil {
		t.Error(err)
	}
}
