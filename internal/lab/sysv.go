package lab

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// segment is a System V shared memory segment: a killed server leaves one
// behind in the kernel, which would stay until the machine restarts.
type segment struct {
	id, creator, attached int
}

// segments reads /proc/sysvipc/shm (columns: key shmid perms size cpid lpid
// nattch …).
func segments() []segment {
	b, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		return nil
	}
	var out []segment
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		id, err1 := strconv.Atoi(f[1])
		cpid, err2 := strconv.Atoi(f[4])
		n, err3 := strconv.Atoi(f[6])
		if err1 == nil && err2 == nil && err3 == nil {
			out = append(out, segment{id, cpid, n})
		}
	}
	return out
}

// segmentsOf are those that p made; ask while p lives.
func segmentsOf(p proc) []segment {
	var out []segment
	for _, s := range segments() {
		if s.creator == p.PID {
			out = append(out, s)
		}
	}
	return out
}

// removeSegments removes those of ss that are still there, unused.
func removeSegments(ss []segment) {
	for _, now := range segments() {
		for _, s := range ss {
			if now.id == s.id && now.creator == s.creator && now.attached == 0 {
				_, _ = unix.SysvShmCtl(s.id, unix.IPC_RMID, nil) // another's by now: not ours to remove
			}
		}
	}
}

// noteSegments remembers a killed node's segments for Down, in a file, since
// another process may call it. The node's next start removes them itself.
func (l *Lab) noteSegments(ss []segment) {
	f, err := l.appendTo(l.path("run", "segments"))
	if err != nil {
		return
	}
	defer f.Close()
	for _, s := range ss {
		_, _ = f.WriteString(strconv.Itoa(s.id) + " " + strconv.Itoa(s.creator) + "\n")
	}
}

// freeSegments removes what noteSegments remembered.
func (l *Lab) freeSegments() {
	b, err := os.ReadFile(l.path("run", "segments"))
	if err != nil {
		return
	}
	var ss []segment
	for _, line := range strings.Split(string(b), "\n") {
		if id, creator, ok := strings.Cut(line, " "); ok {
			i, _ := strconv.Atoi(id)
			c, _ := strconv.Atoi(creator)
			ss = append(ss, segment{id: i, creator: c})
		}
	}
	removeSegments(ss)
}
