package pgdata

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ServerProcesses lists every PostgreSQL process that works in dir: the
// postmaster and its children, also those that outlive a postmaster killed by
// SIGKILL. While the list is not empty nobody else may touch the directory.
func ServerProcesses(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		name, err := os.ReadFile(filepath.Join("/proc", e.Name(), "comm"))
		if err != nil || !serverName(strings.TrimSpace(string(name))) {
			continue
		}
		same, err := worksIn(pid, dir)
		if errors.Is(err, fs.ErrPermission) {
			continue // another user's server: not on a directory of ours
		}
		if err != nil {
			return nil, err
		}
		if same {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// serverProcess says whether pid is a PostgreSQL process that works in dir.
// Where the kernel does not let us look, a process of that name counts as the
// server: the caller must not touch what may be in use.
func serverProcess(pid int, dir string) (bool, error) {
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if st, err := procState(pid); errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || st == 'Z' || st == 'X' {
		return false, nil
	}
	if !isServerProgram(pid) {
		return false, nil
	}
	same, err := worksIn(pid, dir)
	if errors.Is(err, fs.ErrPermission) {
		return true, nil
	}
	return same, err
}

// isServerProgram says whether pid runs the program postgres, by its
// executable or, when that cannot be read, by its name.
func isServerProgram(pid int) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if exe, err := os.Readlink(filepath.Join(proc, "exe")); err == nil {
		return serverName(strings.TrimSuffix(filepath.Base(exe), " (deleted)"))
	}
	name, err := os.ReadFile(filepath.Join(proc, "comm"))
	return err == nil && serverName(strings.TrimSpace(string(name)))
}

// serverName says whether name is that of the server program; "postmaster" is
// its older name, still a link in some packages.
func serverName(name string) bool { return name == "postgres" || name == "postmaster" }

// worksIn says whether the working directory of pid is dir: every PostgreSQL
// process stays in its data directory, also in one that was deleted under it:
// such a server still holds its port and its memory. A process that has gone
// works nowhere.
func worksIn(pid int, dir string) (bool, error) {
	link := filepath.Join("/proc", strconv.Itoa(pid), "cwd")
	if path, err := os.Readlink(link); err == nil && path == dir+" (deleted)" {
		return true, nil
	}
	cwd, err := os.Stat(link)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at process %d: %w", pid, err)
	}
	want, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at data directory: %w", err)
	}
	return os.SameFile(cwd, want), nil
}

// procState is the letter of a process's state: R, S, D, T (stopped), Z…
func procState(pid int) (byte, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may itself hold spaces and parentheses.
	if i := bytes.LastIndexByte(b, ')'); i >= 0 && i+2 < len(b) {
		return b[i+2], nil
	}
	return 0, fmt.Errorf("state of process %d: %.40q makes no sense", pid, b)
}
