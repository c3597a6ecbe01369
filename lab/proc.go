package lab

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/repool/repool/internal/node/process"
)

// proc is one process, running or not.
type proc struct{ process.Process }

// readProc looks at one process; ok is false when there is no such process.
func readProc(pid int) (proc, bool) {
	p, err := process.Read(pid)
	return proc{p}, err == nil
}

// alive says whether p still runs.
func (p proc) alive() bool {
	now, ok := readProc(p.PID)
	return ok && now.Started == p.Started && !now.Ended()
}

func (p proc) signal(sig syscall.Signal) {
	if p.alive() {
		_ = syscall.Kill(p.PID, sig) // it may end in between, which is as good
	}
}

// allProcs lists the running processes.
func allProcs() []proc {
	return slices.DeleteFunc(procs(), func(p proc) bool { return p.Ended() })
}

// procs lists all processes, zombies too.
func procs() []proc {
	all, err := process.All()
	if err != nil {
		return nil
	}
	out := make([]proc, len(all))
	for i, p := range all {
		out[i] = proc{p}
	}
	return out
}

// labMark is the environment variable that every program of a lab carries.
const labMark = "REPOOL_LAB"

// belongs says whether p is a process of the lab in dir: it carries the lab's
// mark, or it is a server that works below dir, or one of PostgreSQL's tools,
// which agents start with an environment of their own, on something in dir. The
// name of a tool that is a script is its own, and its executable the shell.
func (p proc) belongs(dir string) bool {
	if p.PID == os.Getpid() {
		return false
	}
	if exe := p.Program(); exe == "postgres" || exe == "pgpool" {
		return within(dir, p.Dir())
	}
	return p.HasEnv(labMark+"="+dir) || strings.HasPrefix(p.Name, "pg_") && strings.Contains(p.Title(), dir+"/")
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

// owns says whether p is one of procs.
func (l *Lab) owns(p proc) bool {
	return p.belongs(l.Dir) ||
		slices.ContainsFunc(procsIn(l.allNetns()...), func(o proc) bool { return o.PID == p.PID })
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
		return fmt.Errorf("process %d (%s) has not ended within %v", ps[alive].PID, ps[alive].Program(), limit)
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
