package dbhost

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/repool/repool/internal/resync"
)

// Compressions are what a base backup can be compressed with on its way, by
// Options.Compression. "auto" takes the cheapest that the upstream has, and none
// where the upstream is on this host.
var Compressions = []string{"none", "auto", "gzip", "lz4", "zstd"}

// serverCompression is the first version whose server compresses a base backup
// (PostgreSQL 15, BASE_BACKUP's COMPRESSION; a plain copy is unpacked as it comes).
const serverCompression = 150000

// compression chooses what the upstream compresses with; empty: nothing. version
// is the upstream's server_version_num, have the values that its wal_compression
// takes, which name the libraries that it was built with. why says that a wish
// could not be met.
func compression(want string, near bool, version int, have []string) (algorithm, why string) {
	switch {
	case want == "" || want == "none" || want == "auto" && near:
		return "", ""
	case version < serverCompression:
		return "", "the upstream is older than PostgreSQL 15"
	case want == "gzip": // no build of PostgreSQL that is in use lacks zlib
		return want, ""
	case want != "auto":
		if slices.Contains(have, want) {
			return want, ""
		}
		return "", "the upstream was built without " + want
	}
	for _, a := range []string{"lz4", "zstd"} {
		if slices.Contains(have, a) {
			return a, ""
		}
	}
	return "", "the upstream was built without lz4 and zstd"
}

// near says whether a host is this one: what is copied then does not go over a
// network. A name that cannot be looked up is not.
func near(ctx context.Context, host string) bool {
	if host == "" || strings.HasPrefix(host, "/") {
		return true
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(ips, func(ip net.IPAddr) bool {
		return ip.IP.IsLoopback() || slices.ContainsFunc(own, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip.IP)
		})
	})
}

// unpacked shows the progress of a compressed base backup. pg_basebackup counts
// what it receives against the size of the directory (15, pg_basebackup.c), so it
// would end far below the whole; what it has written is the true measure.
type unpacked struct {
	see resync.Progress
	pid atomic.Int64
}

func (u *unpacked) started(pid int) { u.pid.Store(int64(pid)) }

func (u *unpacked) progress(received, total uint64) {
	done, err := written(int(u.pid.Load()))
	if err != nil {
		done = received
	}
	u.see(min(done, total), total)
}

// written is how many bytes a process has written, by the kernel's count (proc(5),
// /proc/pid/io). It may be asked by the process' own user.
func written(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "wchar:"); ok {
			return strconv.ParseUint(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/io names no wchar", pid)
}
