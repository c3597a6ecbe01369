package pgdata

import (
	"errors"
	"io/fs"

	"github.com/repool/repool/internal/node/process"
)

// ServerProcesses lists every PostgreSQL process that works in dir: the
// postmaster and its children, also those that outlive a postmaster killed by
// SIGKILL. While the list is not empty nothing else may touch the directory.
func ServerProcesses(dir string) ([]process.Process, error) {
	all, err := process.All()
	if err != nil {
		return nil, err
	}
	var servers []process.Process
	for _, p := range all {
		if !serverName(p.Name) {
			continue
		}
		same, err := p.WorksIn(dir)
		if errors.Is(err, fs.ErrPermission) {
			continue // another user's server: not on a directory of ours
		}
		if err != nil {
			return nil, err
		}
		if same {
			servers = append(servers, p)
		}
	}
	return servers, nil
}

// serverProcess says whether pid is a PostgreSQL process that works in dir.
// Where the kernel does not let us look, a process of that name counts as the
// server: the caller must not touch what may be in use.
func serverProcess(pid int, dir string) (bool, error) {
	p, err := process.Read(pid)
	if process.Gone(err) || errors.Is(err, fs.ErrPermission) { // hidden: another user's, which may have got the number
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if p.Ended() || !isServerProgram(p) {
		return false, nil
	}
	same, err := p.WorksIn(dir)
	if errors.Is(err, fs.ErrPermission) {
		return true, nil
	}
	return same, err
}

// isServerProgram says whether p runs the program postgres, by its executable
// or, when that cannot be read, by its name.
func isServerProgram(p process.Process) bool {
	if program := p.Program(); program != "" {
		return serverName(program)
	}
	return serverName(p.Name)
}

// serverName says whether name is that of the server program; "postmaster" is
// its older name, still a link in some packages.
func serverName(name string) bool { return name == "postgres" || name == "postmaster" }
