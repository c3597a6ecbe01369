package dbhost

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain runs the tests as the user postgres when root started them:
// PostgreSQL refuses to run as root, and so would a real agent's server.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		code := m.Run()
		template.remove()
		os.Exit(code)
	}
	code, err := runAsPostgres()
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the tests as the user postgres:", err)
		code = 1
	}
	os.Exit(code)
}

func runAsPostgres() (code int, err error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return 1, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 1, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return 1, err
	}
	tmp, err := os.MkdirTemp("/tmp", "dbhost")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(tmp)
	bin := filepath.Join(tmp, "dbhost.test")
	if err := copyProgram(os.Args[0], bin); err != nil {
		return 1, err
	}
	if err := os.Chown(tmp, int(uid), int(gid)); err != nil {
		return 1, err
	}
	var args []string
	for _, a := range os.Args[1:] {
		if !strings.HasPrefix(a, "-test.testlogfile") && !strings.HasPrefix(a, "-test.gocoverdir") {
			args = append(args, a) // those two name files that only root can write
		}
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = tmp, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp, "USER=postgres")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			return 1, err
		}
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, nil
}

func copyProgram(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
