package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/process"
)

// PostmasterPID is what postmaster.pid says. The server writes it line by line
// while it starts, so all but PID and Dir may still be zero.
type PostmasterPID struct {
	PID        int
	Standalone bool // a single-user server (the file has its PID negated)
	Dir        string
	Started    time.Time
	Port       int
	SocketDir  string
	ListenAddr string // first listen address; empty: no TCP
	ShmemKey   string
	Status     PostmasterStatus
}

// PostmasterStatus is the last line of postmaster.pid.
type PostmasterStatus string

// The words a postmaster writes there. PostmasterStandby is a standby that is
// up but does not accept connections.
const (
	PostmasterStarting PostmasterStatus = "starting"
	PostmasterStopping PostmasterStatus = "stopping"
	PostmasterReady    PostmasterStatus = "ready"
	PostmasterStandby  PostmasterStatus = "standby"
)

// ReadPostmasterPID reads dir/postmaster.pid. The error wraps fs.ErrNotExist
// when there is none, and is a *CorruptError when its first line is no PID: an
// empty file is one a crash of the host left behind. That the file exists does
// not mean that the server does: see PostmasterAlive.
func ReadPostmasterPID(dir string) (PostmasterPID, error) {
	path := filepath.Join(dir, "postmaster.pid")
	b, err := os.ReadFile(path)
	if err != nil {
		return PostmasterPID{}, fmt.Errorf("read lock file: %w", err)
	}
	return parsePostmasterPID(path, b)
}

// parsePostmasterPID reads the bytes of a lock file; path is for messages.
func parsePostmasterPID(path string, b []byte) (PostmasterPID, error) {
	bad := func(field, text string) (PostmasterPID, error) {
		return PostmasterPID{}, &CorruptError{File: path, Field: field, Msg: fmt.Sprintf("%.40q is not valid", text)}
	}
	lines := strings.Split(string(b), "\n")
	line := func(i int) string {
		if i < len(lines) {
			return strings.TrimSpace(lines[i])
		}
		return ""
	}
	pid, err := strconv.ParseInt(line(0), 10, 32)
	if err != nil || pid == 0 || pid == -1<<31 {
		return bad("pid", line(0))
	}
	p := PostmasterPID{PID: int(pid), Dir: line(1), SocketDir: line(4), ListenAddr: line(5), ShmemKey: line(6),
		Status: PostmasterStatus(line(7))}
	if pid < 0 {
		p.PID, p.Standalone = int(-pid), true
	}
	if s := line(2); s != "" {
		sec, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return bad("start time", s)
		}
		p.Started = time.Unix(sec, 0).UTC()
	}
	if s := line(3); s != "" {
		port, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return bad("port", s)
		}
		p.Port = int(port)
	}
	return p, nil
}

// PostmasterAlive says whether a server runs on dir, by its lock file and the
// process table. A PID that now belongs to another program, or to the server
// of another directory, is no server; neither is an empty or garbled file,
// which is what a crash of the host leaves. The returned value is zero unless
// alive. Children can outlive a killed server: see ServerProcesses.
func PostmasterAlive(dir string) (PostmasterPID, bool, error) {
	p, err := ReadPostmasterPID(dir)
	var corrupt *CorruptError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &corrupt) {
		return PostmasterPID{}, false, nil
	}
	if err != nil {
		return PostmasterPID{}, false, err
	}
	ok, err := serverProcess(p.PID, dir)
	if err != nil || !ok {
		return PostmasterPID{}, false, err
	}
	return p, true, nil
}

// ServerState tells what the server of dir does right now. A frozen server
// (SIGSTOP) still holds its directory and its promise to write.
func ServerState(dir string) (topology.ServerState, PostmasterPID, error) {
	p, alive, err := PostmasterAlive(dir)
	if err != nil {
		return topology.ServerUnknown, p, err
	}
	if !alive {
		return topology.ServerStopped, p, nil
	}
	if now, err := process.Read(p.PID); err == nil && now.Frozen() {
		return topology.ServerFrozen, p, nil
	}
	switch p.Status {
	case PostmasterReady:
		return topology.ServerRunning, p, nil
	case PostmasterStopping:
		return topology.ServerStopping, p, nil
	}
	return topology.ServerStarting, p, nil
}
