package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// leftover is a System V object in the kernel that a killed server leaves
// behind and that would stay until the machine restarts: Pgpool-II's shared
// memory and semaphores, PostgreSQL's small interlock segment.
type leftover struct {
	kind string // "shm" or "sem"
	id   int
	pid  int // who made the segment, or last worked the semaphore
}

// leftoversOf are the objects of ps; ask while they live.
func leftoversOf(ps []proc) []leftover {
	of := map[int]bool{}
	for _, p := range ps {
		of[p.PID] = true
	}
	var out []leftover
	for _, row := range sysvTable("shm", 7) {
		if of[row[4]] { // columns: key shmid perms size cpid lpid nattch
			out = append(out, leftover{"shm", row[1], row[4]})
		}
	}
	for _, row := range sysvTable("sem", 4) { // columns: key semid perms nsems
		for _, pid := range semaphorePIDs(row[1], row[3]) {
			if of[pid] {
				out = append(out, leftover{"sem", row[1], pid})
				break
			}
		}
	}
	return out
}

// sysvTable reads the first columns of a table in /proc/sysvipc, as numbers.
func sysvTable(kind string, columns int) [][]int {
	b, err := os.ReadFile("/proc/sysvipc/" + kind)
	if err != nil {
		return nil
	}
	var out [][]int
rows:
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < columns {
			continue
		}
		row := make([]int, columns)
		for i := range row {
			if row[i], err = strconv.Atoi(f[i]); err != nil {
				continue rows
			}
		}
		out = append(out, row)
	}
	return out
}

// semaphorePIDs are who last worked each of the n semaphores of a set; those
// never used show who made them.
func semaphorePIDs(id, n int) (pids []int) {
	const getPID = 11 // GETPID in linux/sem.h
	for k := range n {
		pid, _, errno := unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), uintptr(k), getPID, 0, 0, 0)
		if errno == 0 && pid != 0 {
			pids = append(pids, int(pid))
		}
	}
	return pids
}

// removeLeftovers removes those of ls that are still there and unused. An
// object that is another's by now stays.
func removeLeftovers(ls []leftover) {
	if len(ls) == 0 {
		return
	}
	want := map[leftover]bool{}
	for _, l := range ls {
		want[l] = true
	}
	for _, row := range sysvTable("shm", 7) {
		if row[6] == 0 && want[leftover{"shm", row[1], row[4]}] {
			_, _ = unix.SysvShmCtl(row[1], unix.IPC_RMID, nil)
		}
	}
	for _, row := range sysvTable("sem", 4) {
		for _, pid := range semaphorePIDs(row[1], row[3]) {
			if want[leftover{"sem", row[1], pid}] {
				_, _, _ = unix.Syscall6(unix.SYS_SEMCTL, uintptr(row[1]), 0, unix.IPC_RMID, 0, 0, 0)
				break
			}
		}
	}
}

// noteLeftovers remembers a killed server's objects for Down, in a file, since
// another process may call it. A node's next start removes them itself.
func (l *Lab) noteLeftovers(ls []leftover) {
	f, err := l.appendTo(l.path("run", "leftovers"))
	if err != nil {
		return
	}
	defer f.Close()
	for _, o := range ls {
		fmt.Fprintln(f, o.kind, o.id, o.pid)
	}
}

// freeLeftovers removes what noteLeftovers remembered.
func (l *Lab) freeLeftovers() {
	b, err := os.ReadFile(l.path("run", "leftovers"))
	if err != nil {
		return
	}
	var ls []leftover
	for _, line := range strings.Split(string(b), "\n") {
		var o leftover
		if _, err := fmt.Sscan(line, &o.kind, &o.id, &o.pid); err == nil {
			ls = append(ls, o)
		}
	}
	removeLeftovers(ls)
}
