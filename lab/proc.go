package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// proc is one process as /proc shows it. Started tells a reused pid apart.
type proc struct {
	PID, PPID int
	State     byte
	Started   uint64
}

// readProc reads /proc/<pid>/stat; ok is false when there is no such process.
func readProc(pid int) (proc, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return proc{}, false
	}
	text := string(b)
	end := strings.LastIndexByte(text, ')') // the command's name may hold anything
	if end < 0 {
		return proc{}, false
	}
	f := strings.Fields(text[end+1:])
	if len(f) < 20 {
		return proc{}, false
	}
	ppid, _ := strconv.Atoi(f[1])
	started, _ := strconv.ParseUint(f[19], 10, 64)
	return proc{PID: pid, PPID: ppid, State: f[0][0], Started: started}, true
}

// alive says whether p still runs. A zombie does not: it holds nothing but its
// number, and in a container nobody may ever collect it.
func (p proc) alive() bool {
	now, ok := readProc(p.PID)
	return ok && now.Started == p.Started && now.State != 'Z' && now.State != 'X'
}

func (p proc) signal(sig syscall.Signal) {
	if p.alive() {
		_ = syscall.Kill(p.PID, sig) // it may end in between, which is as good
	}
}

// allProcs lists the running processes.
func allProcs() []proc {
	return slices.DeleteFunc(procs(), func(p proc) bool { return p.State == 'Z' || p.State == 'X' })
}

// procs lists all processes, zombies too.
func procs() []proc {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []proc
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := readProc(pid); ok {
			out = append(out, p)
		}
	}
	return out
}

// exe is the name of the program that p runs, without directory.
func (p proc) exe() string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID))
	if err != nil {
		return ""
	}
	return filepath.Base(strings.TrimSuffix(path, " (deleted)"))
}

// cwd is p's working directory, also when it has been deleted.
func (p proc) cwd() string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.PID))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// hasEnv says whether p was started with this line in its environment. Servers
// that write over their own arguments no longer show it: see belongs.
func (p proc) hasEnv(line string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
	return err == nil && slices.Contains(strings.Split(string(b), "\x00"), line)
}

// labMark is the environment variable that every program of a lab carries.
const labMark = "REPOOL_LAB"

// belongs says whether p is a process of the lab in dir: it carries the lab's
// mark, or it is a server that works below dir, or one of PostgreSQL's tools,
// which agents start with an environment of their own, on something in dir.
func (p proc) belongs(dir string) bool {
	if p.PID == os.Getpid() {
		return false
	}
	if exe := p.exe(); exe == "postgres" || exe == "pgpool" {
		return within(dir, p.cwd())
	}
	return p.hasEnv(labMark+"="+dir) || strings.HasPrefix(p.exe(), "pg_") && strings.Contains(p.cmdline(), dir+"/")
}

// cmdline is p's command line with blanks between the arguments.
func (p proc) cmdline() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(b), "\x00", " ")
}

func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// procs lists every process of the lab: those that belong to it, and whatever
// runs on its hosts.
func (l *Lab) procs() []proc {
	out := labProcs(l.Dir)
	for _, p := range procsIn(l.allNetns()...) {
		if !slices.ContainsFunc(out, func(o proc) bool { return o.PID == p.PID }) {
			out = append(out, p)
		}
	}
	return out
}

// labProcs lists every process of the lab, whoever started it.
func labProcs(dir string) []proc {
	var out []proc
	if dir == "" || dir == "/" { // a lab that was never made has none
		return nil
	}
	for _, p := range allProcs() {
		if p.belongs(dir) {
			out = append(out, p)
		}
	}
	return out
}

// descendants gives p's children, their children, and so on.
func descendants(root proc) []proc {
	all := allProcs()
	var out []proc
	parents := []int{root.PID}
	for len(parents) > 0 {
		var next []int
		for _, p := range all {
			if slices.Contains(parents, p.PPID) {
				out = append(out, p)
				next = append(next, p.PID)
			}
		}
		parents = next
	}
	return out
}

// signalAll sends sig to each of ps.
func signalAll(ps []proc, sig syscall.Signal) {
	for _, p := range ps {
		p.signal(sig)
	}
}

// waitGone waits until none of ps runs.
func waitGone(ps []proc, limit time.Duration) error {
	alive := -1
	if !pollUntil(time.Now().Add(limit), func() bool {
		alive = slices.IndexFunc(ps, proc.alive)
		return alive < 0
	}) {
		return fmt.Errorf("process %d (%s) has not ended within %v", ps[alive].PID, ps[alive].exe(), limit)
	}
	return nil
}

// pollUntil asks every few milliseconds whether it is so, and says whether it
// became so before the deadline. It is for processes, which tell nobody.
func pollUntil(deadline time.Time, so func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// killHard stops ps all at once, so that none can react to another's end, then
// kills them with SIGKILL and waits until they are really gone.
func killHard(ps []proc) error {
	signalAll(ps, syscall.SIGSTOP)
	signalAll(ps, syscall.SIGKILL)
	return waitGone(ps, 10*time.Second)
}
