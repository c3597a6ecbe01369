package dbhost

import (
	"context"
	"net"
	"slices"
	"strings"
)

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
