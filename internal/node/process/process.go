// Package process looks at the processes of this machine, as /proc shows them.
// It is the only package that reads /proc/<pid>, by way of the procfs library.
//
// Processes come and go while they are being read: Gone says whether an
// error means only that. A zombie is still in the list; see Process.Ended.
package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Process is one process at the moment it was read. PID and Started together
// identify it; its id alone may be reused.
type Process struct {
	PID, PPID int
	// Started is in clock ticks since boot.
	Started uint64
	// State is the kernel's letter, such as R, S and D; see Ended and Frozen.
	State byte
	// Name is the first 15 bytes of the program's name, which a process may change.
	Name string
	// CPU is the processor time used so far, Resident the memory held, in bytes.
	CPU      time.Duration
	Resident uint64

	threads int
	proc    procfs.Proc // a Process comes from Read or All, never from a literal
}

// Read looks at one process. Gone says whether the error means that there is
// none with this id.
func Read(pid int) (Process, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return Process{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return read(p)
}

func read(p procfs.Proc) (Process, error) {
	st, err := p.Stat()
	if err == nil && len(st.State) != 1 {
		err = fmt.Errorf("unknown state %q", st.State)
	}
	if err != nil {
		return Process{}, fmt.Errorf("look at process %d: %w", p.PID, err)
	}
	return Process{
		PID: p.PID, PPID: st.PPID, Started: st.Starttime, State: st.State[0], Name: st.Comm,
		CPU: time.Duration(st.CPUTime() * float64(time.Second)), Resident: uint64(st.ResidentMemory()),
		threads: st.NumThreads, proc: p,
	}, nil
}

// All lists the processes, without those that end meanwhile and those that the
// kernel hides from this user.
func All() ([]Process, error) {
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make([]Process, 0, len(procs))
	for _, p := range procs {
		one, err := read(p)
		if Gone(err) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Gone says whether err means that the process has ended.
func Gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// Ended says whether the process no longer runs. A zombie has nothing left but
// its id; in a container, nobody may ever wait for it. Until the last of its other
// threads has ended too, it is none, and holds its files and locks.
func (p Process) Ended() bool { return p.State == 'Z' && p.threads <= 1 || p.State == 'X' }

// Frozen says whether the process is stopped by SIGSTOP or a debugger.
func (p Process) Frozen() bool { return p.State == 'T' || p.State == 't' }

// deleted follows the path of a file that was deleted while in use.
const deleted = " (deleted)"

// Program is the name of the executable, without directory. It is empty when the
// process has ended, or when the kernel does not say.
func (p Process) Program() string {
	path, err := p.proc.Executable()
	if err != nil || path == "" {
		return ""
	}
	return filepath.Base(strings.TrimSuffix(path, deleted))
}

// Args is the command line, or the title that a server has put in its place. It
// is empty when the process has ended.
func (p Process) Args() []string {
	args, err := p.proc.CmdLine()
	if err != nil {
		return nil
	}
	return args
}

// Title is Args with blanks between them.
func (p Process) Title() string { return strings.Join(p.Args(), " ") }

// HasEnv says whether the process was started with this line, NAME=value, in
// its environment. Servers that write over their arguments no longer show it.
func (p Process) HasEnv(line string) bool {
	env, err := p.proc.Environ()
	return err == nil && slices.Contains(env, line)
}

// Written is how many bytes the process has written, to files or elsewhere; 0
// when it has ended.
func (p Process) Written() uint64 {
	io, err := p.proc.IO()
	if err != nil {
		return 0
	}
	return io.WChar
}

// Dir is the working directory, also when that was deleted. It is empty when the
// process has ended or belongs to another user.
func (p Process) Dir() string {
	dir, err := p.proc.Cwd()
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(dir, deleted)
}

// WorksIn says whether dir is the process's working directory, by whatever
// path, also after it was deleted. A process that has ended works nowhere. The
// error is fs.ErrPermission for another user's process.
func (p Process) WorksIn(dir string) (bool, error) {
	if path, err := p.proc.Cwd(); err == nil && path == dir+deleted {
		return true, nil
	}
	// The link itself is followed, and not its text, which another mount
	// namespace may have written.
	cwd, err := os.Stat(filepath.Join(procfs.DefaultMountPoint, strconv.Itoa(p.PID), "cwd"))
	if Gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at process %d: %w", p.PID, err)
	}
	want, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(cwd, want), nil
}
